# Runs in the workspace when its agent has started; the workspace is ready when this has ended with 0.
git config --global --add safe.directory '*'
if [ -f package-lock.json ] && [ ! -d node_modules ]; then npm ci --no-audit --no-fund; fi
