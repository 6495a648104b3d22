#!/bin/sh
# Ends everything in the workspace and removes its files.
set -eu
. ./common.sh

sh stop.sh
rm -rf "$place"
