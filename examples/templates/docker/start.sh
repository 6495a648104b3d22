#!/bin/sh
# Makes a fresh container over the volume of the workspace. May be run again at any time.
set -eu
. ./common.sh

remove_container

# By name, so that a second run gets the same one.
docker volume create --label "chat-workspace=$CW_WORKSPACE_ID" "$name" > /dev/null

set -- --env CW_AGENT_URL="$CW_GATEWAY_URL" --env CW_AGENT_TOKEN_FILE=/run/agent/token \
  --env CW_AGENT_DIR=/home/node/workspace
[ -z "${CW_AGENT_STARTUP_SCRIPT:-}" ] || set -- "$@" --env CW_AGENT_STARTUP_SCRIPT
[ -z "${CW_AGENT_SHUTDOWN_SCRIPT:-}" ] || set -- "$@" --env CW_AGENT_SHUTDOWN_SCRIPT

docker create --name "$name" --label "chat-workspace=$CW_WORKSPACE_ID" --hostname workspace --init \
  --cpus "$CW_PARAM_CPUS" --memory "${CW_PARAM_MEMORY}g" --pids-limit 4096 \
  --cap-drop ALL --security-opt no-new-privileges \
  --network "${DOCKER_NETWORK:-bridge}" --add-host host.docker.internal:host-gateway \
  --volume "$name:/home/node/workspace" --stop-timeout 20 \
  "$@" "$CW_PARAM_IMAGE" > /dev/null

# Readable for the user of the agent alone, which a plain copy would not be: it would belong to root.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp "$CW_AGENT_TOKEN_FILE" "$copy/token"
tar --create --file - --directory "$copy" --owner 1000 --group 1000 --mode 0600 token | docker cp - "$name:/run/agent"

docker start "$name" > /dev/null
echo "The container $name runs."
