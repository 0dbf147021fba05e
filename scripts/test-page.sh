#!/usr/bin/env bash
# Runs the tests of the page in Chromium, which is installed first where it is missing. Needs Debian and root, or a Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null; then
  [ "$(id -u)" = 0 ] || exec sudo --preserve-env "$0" "$@"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
CHROMIUM=$(command -v chromium) npx tap --disable-coverage test/e2e/page.test.ts
