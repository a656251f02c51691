# shellcheck shell=bash
# The commands of the hard-link helper container, served by serve.sh. Docker's folder of volumes is mounted at /volumes, as
# one mount because hard links do not cross mounts; archive N at /archives/N; and an anonymous volume for staged blobs.
content_store=lib/containerd/io.containerd.content.v1.content/blobs/sha256
staging=
declare -A copies

command_staging() { # VOLUME
  staging=/volumes/$1/_data
}

# Prints the identity of an archive, as identityOf in file-identity.ts does.
command_identity() { # ARCHIVE
  stat --format '%i %s %.9Y' "/archives/$1"
}

# Starts to copy a blob out of an archive.
command_stage() { # ARCHIVE OFFSET SIZE HEX
  dd if="/archives/$1" of="$staging/$4" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none &
  copies[$4]=$!
}

# Waits until a blob is copied, then prints the identity of the archive.
command_staged() { # ARCHIVE HEX
  wait "${copies[$2]}" && chmod 0444 "$staging/$2" && command_identity "$1"
}

# Links a blob into the content store of a node's volume, unless it is there.
command_link() { # VOLUME HEX
  local blob=/volumes/$1/_data/$content_store/$2
  [[ -e $blob ]] || ln "$staging/$2" "$blob"
}
