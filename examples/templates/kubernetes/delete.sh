#!/bin/sh
# Removes the pod, its secret, and the claim with the files.
set -eu
. ./common.sh

remove_pod
cluster delete persistentvolumeclaim "$name" --ignore-not-found --wait --timeout 2m
