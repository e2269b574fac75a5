# Two commands do everything: `make run` and `make test`. The rest of the build is Meson's.
BUILD ?= build
PREFIX ?= /usr/local
PACKAGES := $(shell sed 's/\#.*//' packages.txt)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: all run test test-long bench install format clean packages reference

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

# Installs the missing packages of packages.txt, if any; only then is root or sudo needed.
packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q ' installed$$' || echo "$$p"; done); \
	[ -n "$$missing" ] || exit 0; \
	echo "installing:" $$missing; \
	if [ "$$(id -u)" != 0 ] && [ -z "$(SUDO)" ]; then echo "neither root nor sudo is there; please install them"; exit 1; fi; \
	$(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

$(BUILD)/build.ninja: | packages
	meson setup $(BUILD) --prefix=$(PREFIX)

# Starts the daemon in the foreground with demo/penstock.conf; Ctrl-C ends it.
run: all
	@sh demo/run.sh $(BUILD)

# Every test, with the sanitizer build of the unit tests. The last line counts them.
test: packages
	python3 tests/run.py --build $(BUILD)

test-long: packages
	python3 tests/run.py --build $(BUILD) --long

bench: all
	python3 bench/run.py --daemon $(BUILD)/src/daemon/penstockd

# `make install DESTDIR=/some/root PREFIX=/usr`. Another prefix than the last one's is built anew.
install: all
	@[ "$$(meson introspect --buildoptions $(BUILD) | python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')" = "$(PREFIX)" ] \
	  || { meson configure $(BUILD) -Dprefix=$(PREFIX) && ninja -C $(BUILD); }
	DESTDIR="$(DESTDIR)" meson install -C $(BUILD) --no-rebuild

# Writes doc/reference from the tables.
reference: all
	python3 tests/behaviour/modules.py --daemon $(BUILD)/src/daemon/penstockd --penstock $(BUILD)/src/control/penstock --write >/dev/null || true

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD) $(BUILD)-*
