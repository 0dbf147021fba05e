#!/usr/bin/env bash
# Runs the tests of the S3 storage on a real server: Ceph, which is installed first where it is missing. Needs Debian and root.
set -euo pipefail
cd "$(dirname "$0")/../.."
ceph=scripts/s3-servers/ceph.sh
export DIR=${DIR:-$(mktemp -d)} PORT=${PORT:-9100}

[ "$(id -u)" = 0 ] || exec sudo --preserve-env "$0" "$@"
$ceph install
trap '$ceph stop' EXIT
variables=$($ceph start)
export $variables
tests=$(ls test/adapters/s3*.test.ts test/e2e/s3*.test.ts test/faults/s3*.test.ts test/cli/adopt-bucket.test.ts)
npx tap --disable-coverage --timeout 900 $tests
