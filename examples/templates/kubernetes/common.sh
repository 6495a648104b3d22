# What all scripts here share: the namespace, and the name of everything that belongs to the workspace.

# The id becomes a part of names, which are in lower case and short.
case $CW_WORKSPACE_ID in
  *[!a-z0-9-]* | *- | "") echo "A workspace with the id '$CW_WORKSPACE_ID' cannot be a pod." >&2 && exit 1 ;;
esac
if [ "${#CW_WORKSPACE_ID}" -gt 50 ]; then
  echo "A workspace with the id '$CW_WORKSPACE_ID' cannot be a pod: it is too long." >&2
  exit 1
fi
name=workspace-$CW_WORKSPACE_ID

cluster() { kubectl --namespace "${WORKSPACES_NAMESPACE:-chat-workspaces}" "$@"; }

# One that is not there is no failure.
remove_pod() { cluster delete pod,secret "$name" --ignore-not-found --wait --timeout 2m; }
