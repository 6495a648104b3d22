#!/bin/sh
# Removes the container and the volume with the files.
set -eu
. ./common.sh

remove_container
docker volume rm --force "$name" > /dev/null
