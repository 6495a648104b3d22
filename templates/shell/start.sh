#!/bin/sh
# Starts the agent in the folder of the workspace. May be run again at any time.
set -eu
. ./common.sh

# Also a start that was interrupted may have left an agent.
sh stop.sh

umask 077
mkdir -p "$place/files"
rm -f "$place/state/lock"
# The original is gone when this script has ended.
cp "$CW_AGENT_TOKEN_FILE" "$place/token.new"
mv "$place/token.new" "$place/token"

set -- PATH="$PATH" HOME="$place/files" LANG="${LANG:-C.UTF-8}" TERM=dumb WORKSPACE_PLACE="$place" \
  CW_AGENT_URL="$CW_GATEWAY_URL" CW_AGENT_TOKEN_FILE="$place/token" \
  CW_AGENT_DIR="$place/files" CW_AGENT_STATE_DIR="$place/state"
[ -z "${CW_AGENT_STARTUP_SCRIPT:-}" ] || set -- "$@" CW_AGENT_STARTUP_SCRIPT="$CW_AGENT_STARTUP_SCRIPT"
[ -z "${CW_AGENT_SHUTDOWN_SCRIPT:-}" ] || set -- "$@" CW_AGENT_SHUTDOWN_SCRIPT="$CW_AGENT_SHUTDOWN_SCRIPT"

# It gets this environment and nothing else of the server's, and outlives this script.
cd "$place/files"
env -i "$@" node "$CW_AGENT_PROGRAM" > "$place/agent.log" 2>&1 < /dev/null &
agent=$!

# It is up when it has taken its state; one that cannot run ends before that.
tries=0
until [ -e "$place/state/lock" ]; do
  if [ "$tries" -ge 150 ] || ! kill -0 "$agent" 2> /dev/null; then
    echo "The agent did not start:" >&2
    tail -n 20 "$place/agent.log" >&2
    exit 1
  fi
  sleep 0.2
  tries=$((tries + 1))
done
echo "The agent runs in $place/files."
