#!/bin/sh
# Makes a fresh pod over the claim of the workspace. May be run again at any time.
set -eu
. ./common.sh

# A pod cannot be changed into what it should be now.
remove_pod

# The token is given as a file: the arguments of a command can be seen by others on the host.
cluster create secret generic "$name" --from-file "token=$CW_AGENT_TOKEN_FILE" --from-literal "url=$CW_GATEWAY_URL" \
  --from-literal "startup=${CW_AGENT_STARTUP_SCRIPT:-}" --from-literal "shutdown=${CW_AGENT_SHUTDOWN_SCRIPT:-}"

# The template allows only values that mean nothing to sed and YAML: options and numbers.
filled() {
  sed "s|@NAME@|$name|g; s|@IMAGE@|$CW_PARAM_IMAGE|g; s|@CPUS@|$CW_PARAM_CPUS|g; s|@MEMORY@|$CW_PARAM_MEMORY|g; \
    s|@DISK@|$CW_PARAM_DISK|g" "$1"
}

# The files of an earlier start are kept, and their disk stays as large as it was.
claim=$(cluster get persistentvolumeclaim "$name" --ignore-not-found --output name)
[ -n "$claim" ] || filled claim.yaml | cluster create --filename -

filled pod.yaml | cluster create --filename -
cluster wait --for condition=Ready --timeout 10m "pod/$name"
