# What all scripts here share: the name of the container and of its volume.

# The id becomes a part of names.
case $CW_WORKSPACE_ID in
  *[!A-Za-z0-9-]* | "") echo "A workspace with the id '$CW_WORKSPACE_ID' cannot be a container." >&2 && exit 1 ;;
esac
name=chat-workspace-$CW_WORKSPACE_ID

# One that is not there is no failure; an engine that does not answer is.
remove_container() {
  found=$(docker ps --all --quiet --filter "name=^/?$name\$")
  [ -z "$found" ] || docker rm --force --volumes "$name" > /dev/null
}
