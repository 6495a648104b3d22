#!/bin/sh
# Ends the agent and everything else that runs in the workspace. Its files stay.
set -eu
. ./common.sh

# The agent first, by itself: it ends its commands, and runs its shutdown script.
signal TERM "$(agent)"
tries=0
while [ -n "$(agent)" ] && [ "$tries" -lt 100 ]; do
  sleep 0.2
  tries=$((tries + 1))
done

# Then whatever is left, until nothing is: new processes may come while the old ones end.
tries=0
while [ -n "$(everything)" ]; do
  if [ "$tries" -ge 100 ]; then
    echo "Some processes of the workspace do not end:" "$(everything)" >&2
    exit 1
  fi
  signal KILL "$(everything)"
  sleep 0.2
  tries=$((tries + 1))
done
rm -f "$place/token"
