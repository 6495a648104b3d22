#!/bin/sh
# Removes the pod and its secret. The claim with the files stays.
set -eu
. ./common.sh

remove_pod
