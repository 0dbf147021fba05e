#!/bin/bash
# Uploads a file with curl in the words of the draft: `client.sh URL FILE`. Only if that fails, it asks with HEAD how far
# it came, and sends the rest. PATIENT is how many seconds it waits before that, 20 times; without, it tries 5 times at once.
# CREATE_FIRST makes the upload without a byte, for where no 104 comes through.
set -u
# To a URL that ends in a slash, curl adds the name of the file.
url=${1%/} file=$2
home=$(mktemp -d)
trap 'rm -r "$home"' EXIT
draft=(--silent --show-error --fail --output /dev/null --dump-header "$home/head" -H 'Upload-Draft-Interop-Version: 8')
: > "$home/head"

# The last value of a header, from interim responses too.
get() { tr -d '\r' < "$home/head" | sed -n "s/^$1: //Ip" | tail -1; }

create() {
  if [ -n "${CREATE_FIRST-}" ]; then
    curl "${draft[@]}" -X POST -H 'Upload-Complete: ?0' "$url" && upload=$(get Location) && append 0
  else
    curl "${draft[@]}" -X POST -H 'Upload-Complete: ?1' --upload-file "$file" "$url"
    local code=$?
    upload=$(get Location)
    return $code
  fi
}

append() {
  tail -c "+$(($1 + 1))" "$file" | curl "${draft[@]}" -X PATCH -H 'Content-Type: application/partial-upload' \
    -H "Upload-Offset: $1" -H 'Upload-Complete: ?1' --upload-file - "$upload"
}

resume() {
  curl "${draft[@]}" --head "$upload" || return
  [ "$(get Upload-Complete)" = '?1' ] || append "$(get Upload-Offset)"
}

upload=
for attempt in $(seq 20); do
  if [ -n "$upload" ]; then resume; else create; fi && exit 0
  if [ -n "${PATIENT-}" ]; then sleep "$PATIENT"; elif [ "$attempt" = 5 ]; then exit 1; fi
done
exit 1
