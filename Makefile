# DistKV.  A thin front over CMake and Ninja; `make help` says what there is.

PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 30
JOBS         ?= $(shell nproc 2>/dev/null || echo 2)

# Every kind of build has a folder of its own, so that none undoes another's work.
configure = cmake --log-level=WARNING -G Ninja -S . -B
compile   = cmake --build
quietly   = >/dev/null

# The thread sanitizer of gcc 12 cannot cope with the widest address randomization.
tsan: NO_ASLR := $(shell setarch -R true 2>/dev/null && echo setarch -R)

# $(call test_in,FOLDER,SANITIZERS): build the tests there, and run all of them, or those that T names.
define test_in
	@scripts/install-deps build test
	@$(configure) $(1) -DCMAKE_BUILD_TYPE=Debug -DDISTKV_SANITIZE=$(2) $(quietly)
	@$(compile) $(1) -j $(JOBS)
	@cd $(1) && $(NO_ASLR) ctest --output-on-failure --no-tests=error -j $(JOBS) $(if $(T),-R '$(T)')
endef

sources = $(shell find $(wildcard src include tests bench) -name '*.[ch]')

.PHONY: all run cluster cluster-stop cluster-status test asan ubsan tsan optimised sim-campaign sim-mutants damage drills exhaust fuzz hostile failover mutants test-oracle bench bench-raft bench-cluster lint fmt install deps clean help

all:
	@scripts/install-deps --check build
	@$(configure) build -DCMAKE_BUILD_TYPE=Release -DDISTKV_TESTS=OFF $(quietly)
	@$(compile) build -j $(JOBS)

run:
	@scripts/install-deps build
	@$(MAKE) --no-print-directory all
	@exec build/distkv server $(ARGS)

# Three nodes on this machine, or NODES=5; clients at PORT=6379 and those that follow.
cluster: all
	@NODES='$(or $(NODES),3)' PORT='$(or $(PORT),6379)' scripts/cluster start

cluster-stop:
	@scripts/cluster stop

cluster-status:
	@PORT='$(or $(PORT),6379)' scripts/cluster status

test:
	$(call test_in,build-test,)

asan:
	$(call test_in,build-asan,address)

ubsan:
	$(call test_in,build-ubsan,undefined)

# As `make run` is built: what the compiler makes of the code is not what it makes in other builds.
optimised:
	@scripts/install-deps build test
	@$(configure) build-optimised -DCMAKE_BUILD_TYPE=Release $(quietly)
	@$(compile) build-optimised -j $(JOBS)
	@cd build-optimised && ctest --output-on-failure --no-tests=error -j $(JOBS) $(if $(T),-R '$(T)')

tsan:
	$(call test_in,build-tsan,thread)

# In the background, and it goes on where it stopped: SIM_SEEDS, SIM_ARGS; results in build/sim-campaign.
SIM_SEEDS ?= 10000
SIM_ARGS  ?=

sim-campaign: all
	@mkdir -p build/sim-campaign
	@nohup nice scripts/sim-campaign build/distkv build/sim-campaign $(SIM_SEEDS) $(SIM_ARGS) \
	    >build/sim-campaign/summary 2>&1 & \
	echo "process $$! simulates in the background; build/sim-campaign/parts fills"

# One process for each of JOBS; each says how far it is.  What is wrong is named, and the last line
# sums up.
damage:
	@scripts/install-deps build test
	@$(configure) build-test -DCMAKE_BUILD_TYPE=Debug $(quietly)
	@$(compile) build-test -j $(JOBS) --target test_kv_damage
	@scripts/damage build-test/tests/unit/kv/test_kv_damage $(JOBS)

# What docs/OPERATIONS.md says to do when disks are empty or damaged, and when a majority is gone, on real
# processes: two minutes.
drills:
	@scripts/install-deps build test
	@$(configure) build-test -DCMAKE_BUILD_TYPE=Debug $(quietly)
	@$(compile) build-test -j $(JOBS) --target distkv
	@cd build-test && ctest --output-on-failure --no-tests=error -R 'cli_(drill|recover)'

# Every order of events of a small group, within bounds that take an hour; TEST_DEPTH and others widen
# them (tests/unit/raft/test_raft_exhaustive.c).
exhaust:
	@scripts/install-deps build test
	@$(configure) build-mutants -DCMAKE_BUILD_TYPE=Release -DDISTKV_MUTANTS=ON $(quietly)
	@$(compile) build-mutants -j $(JOBS) --target test_raft_exhaustive
	@TEST_DEPTH=$${TEST_DEPTH:-40} TEST_TERMS=$${TEST_TERMS:-2} TEST_ENTRIES=$${TEST_ENTRIES:-2} \
	    TEST_WORLDS=$${TEST_WORLDS:-200000000} TEST_SLOTS_LOG2=$${TEST_SLOTS_LOG2:-28} \
	    build-mutants/tests/unit/raft/test_raft_exhaustive

# Each mistake of base/broken.h is put back: which directed test sees it, and which random life; some
# twenty minutes.
mutants:
	@scripts/install-deps build test
	@$(configure) build-mutants -DCMAKE_BUILD_TYPE=Release -DDISTKV_MUTANTS=ON $(quietly)
	@$(compile) build-mutants -j $(JOBS) --target test_raft_directed_mutants test_raft_mutants
	@build-mutants/tests/unit/raft/test_raft_directed_mutants
	@build-mutants/tests/unit/raft/test_raft_mutants $(ARGS)

# Each mistake, those of whole nodes too, under the simulator: which seed sees it.  Half an hour.
mistakes = $(shell sed -n 's/^ X.\([A-Z_]*\),.*/\1/p' src/base/broken.h)

sim-mutants:
	@scripts/install-deps build test
	@$(configure) build-mutants -DCMAKE_BUILD_TYPE=Release -DDISTKV_MUTANTS=ON $(quietly)
	@$(compile) build-mutants -j $(JOBS) --target distkv
	@scripts/sim-mutants build-mutants/distkv $${SEEDS:-100} \
	    $(or $(NAMES),$(mistakes))

# Our raft against etcd's, which is built from Debian's sources alone, without the network.
# MUTANTS=1: which mistakes this sees.
oracle_build   = build-oracle$(if $(MUTANTS),-mutants)
oracle_program = oracle$(if $(MUTANTS),_mutants)

test-oracle:
	@scripts/install-deps build test oracle
	@$(configure) $(oracle_build) -DCMAKE_BUILD_TYPE=Debug \
	    -DDISTKV_MUTANTS=$(if $(MUTANTS),ON,OFF) $(quietly)
	@$(compile) $(oracle_build) -j $(JOBS) --target $(oracle_program)
	@test -z "$$(gofmt -l tests/oracle/etcd)" || { echo 'not formatted: gofmt -w tests/oracle/etcd'; exit 1; }
	@GOPATH=/usr/share/gocode GO111MODULE=off GOFLAGS= GOCACHE=$(CURDIR)/$(oracle_build)/go \
	    go build -p $(JOBS) -o $(oracle_build)/oracle_etcd ./tests/oracle/etcd
	@$(oracle_build)/tests/oracle/$(oracle_program) $(oracle_build)/oracle_etcd

# What a fuzzer finds new goes to the build folder; copy what is worth keeping to tests/fuzz/corpus.
fuzz:
	@scripts/install-deps build lint
	@$(configure) build-fuzz -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
	    -DDISTKV_FUZZ=ON -DDISTKV_TESTS=OFF -DDISTKV_SANITIZE=address,undefined $(quietly)
	@$(compile) build-fuzz -j $(JOBS)
	@set -e; for target in build-fuzz/fuzz/fuzz_*$(T)*; do \
	    name=$${target##*/fuzz_}; \
	    echo "fuzzing $$name for $(FUZZ_SECONDS) s"; \
	    mkdir -p build-fuzz/corpus/$$name; \
	    $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	        -print_final_stats=1 -artifact_prefix=build-fuzz/$$name- \
	        build-fuzz/corpus/$$name tests/fuzz/corpus/$$name >build-fuzz/$$name.log 2>&1 \
	        || { tail -n 60 build-fuzz/$$name.log; exit 1; }; \
	    grep number_of_executed_units build-fuzz/$$name.log; \
	done

# What `make test T=crash_hostile` does in seconds, at full size: 10,000 connections, a gigabyte.
hostile: all
	@tests/crash/hostile_test.py build/distkv --long

# Real nodes in networks of their own, killed, stopped, cut off, full; as root, six minutes.  ROWS='SIGSTOP partial':
# those rows alone; docs/FAILOVER.md.
failover: all
	@scripts/install-deps build failover
	@mkdir -p build/failover
	@$(CC) -std=c17 -O2 -Wall -Wextra -Werror -o build/failover/load tests/failover/load.c
	@$(CC) -std=c17 -O2 -Wall -Wextra -Werror -shared -fPIC -o build/failover/stall.so tests/failover/stall.c
	@exec tests/failover/failover.py build/distkv build/failover build/failover/run $(ROWS)

# $(call measure,PROGRAMS,WHAT TO BUILD): each runs in the build folder, and says there what it measures.
define measure
	@scripts/install-deps build bench
	@$(configure) build-bench -DCMAKE_BUILD_TYPE=Release -DDISTKV_TESTS=OFF -DDISTKV_BENCH=ON $(quietly)
	@$(compile) build-bench -j $(JOBS) $(2)
	@set -e; cd build-bench; for program in $(1); do \
	    echo "$${program##*/}"; \
	    BENCH_FULL='$(FULL)' BENCH_ONLY='$(ONLY)' $$program; \
	done
endef

# FULL=1: for hours.
bench:
	$(call measure,bench/*/bench_*$(T)*)

# Consensus alone, in half a minute: its core, groups without traffic, a hot counter.
bench-raft:
	$(call measure,bench/raft/bench_* bench/server/bench_counter.py,--target bench_raft_core bench_idle_groups distkv)

# Three nodes beside etcd, and beside Redis with a replica; ONLY=etcd,redis,service,faults,scaling.
bench-cluster:
	@scripts/install-deps bench-cluster
	$(call measure,bench/cluster/bench_cluster.py,--target cluster_load distkv)

# clang's own compile commands: gcc's have warnings that it does not know.
lint:
	@scripts/install-deps build test lint
	@scripts/check-floors
	@clang-format --dry-run -Werror $(sources)
	@$(configure) build-lint -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
	    -DDISTKV_TESTS=OFF $(quietly)
	@find src -name '*.c' -print0 | xargs -0 -n 1 -P $(JOBS) clang-tidy -p build-lint --quiet

fmt:
	@scripts/install-deps lint
	@clang-format -i $(sources)

install: all
	@DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)'

deps:
	@scripts/install-deps build test

clean:
	@rm -rf build build-*

help:
	@echo 'make                  build the program: build/distkv'
	@echo 'make run              install what is missing, build, and start a server on this machine'
	@echo 'make cluster          three nodes on this machine, from PORT=6379 on; NODES=5: more'
	@echo 'make cluster-stop     end them; their data stays in build/cluster'
	@echo 'make cluster-status   how they are'
	@echo 'make test [T=bloom]   run the tests, or those whose name matches T'
	@echo 'make asan|ubsan|tsan  the same under the address, undefined-behaviour or thread sanitizer'
	@echo 'make optimised [T=wal]  the tests, built as a release is'
	@echo 'make sim-campaign     simulate 10,000 seeds in the background, or go on with them'
	@echo 'make sim-mutants      put each known mistake back, and see a simulated cluster catch it'
	@echo 'make damage           flip a bit of every byte of a small store, on JOBS=$(JOBS) processes'
	@echo 'make drills           emptied and damaged disks and a lost quorum, on real processes: two minutes'
	@echo 'make test-oracle      our raft against etcd'"'"'s, for ORACLE_SECONDS=60; MUTANTS=1: is it able to fail?'
	@echo 'make fuzz [T=wal]     each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make hostile          hostile clients at full size against the release build: 5 minutes'
	@echo 'make failover [ROWS=]  the failover table: real nodes killed, stopped, cut off; as root, 6 minutes'
	@echo 'make exhaust          every order of events of a small Raft group, within bounds'
	@echo 'make mutants          put each known mistake back, and see a simulation catch it'
	@echo 'make bench [T=lsm]    run the measurements in bench/, one after the other; FULL=1: at length'
	@echo 'make bench-raft       those of consensus alone: half a minute'
	@echo 'make bench-cluster    three nodes beside etcd and Redis with a replica: a quarter of an hour'
	@echo 'make lint             clang-tidy, clang-format, and the floors of the modules'
	@echo 'make fmt              format the sources'
	@echo 'make install          to PREFIX=$(PREFIX), under DESTDIR'
	@echo 'make deps             install what building and testing needs (Debian)'
	@echo 'make clean            remove every build folder'
