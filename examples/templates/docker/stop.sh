#!/bin/sh
# Ends the container and removes it. The volume with the files stays.
set -eu
. ./common.sh

running=$(docker ps --quiet --filter "name=^/?$name\$")
# The agent gets time for its shutdown script.
[ -z "$running" ] || docker stop "$name" > /dev/null
remove_container
