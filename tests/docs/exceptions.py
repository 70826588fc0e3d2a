"""Commands of the documents that are not run literally, each with the reason: the one place where there are any."""

#: By the beginning of a command. Nothing else may be left out; a test looks that each of these is still in a document.
NOT_RUN = {
    "make demo": "installs system packages first; tests/python/test_demo.py runs `derecho demo`",
    "make test": "is what runs this",
    "make fuzz": "takes minutes; a stage of `make test` runs every target",
    "make bench": "takes minutes, of a quiet machine; tests/python/test_bench.py runs `derecho bench`",
    "make test-rdma": "a stage of `make test`",
    "pip install .": "takes minutes; tools/setup.sh does it, and tests/repo look at what it gave",
    "derecho bench": "takes minutes, of a quiet machine; tests/python/test_bench.py runs it",
    "derecho demo --wire verbs": "needs RDMA devices; tests/rdma runs it",
    "derecho doctor a.toml": "the configurations are the reader's own",
    "derecho doctor --between": "the hosts are the reader's own",
    "derecho doctor --nodes N": "the number is the reader's own; docs/doctor.md has one with a number",
    "derecho doctor --json > db2.json": "is run on another host",
    "for i in 0 1 2 3; do echo $i $(cat /sys/class/infiniband": "needs RDMA devices",
    "dcb ": "configures a network device",
    "mlnx_qos": "configures a network device",
    "echo 1 > /sys/class/net/": "configures a network device",
    "docker run": "needs a daemon, and an image of the reader's own",
    "dotnet pack": "needs an SDK, which is not there",
    "cd bindings/java && mvn": "takes the network; tests/java run the same tests without Maven",
    "java --enable-native-access=ALL-UNNAMED -cp derecho.jar:… Main": "the class is the reader's own",
}

#: What words in capitals stand for, when a command within the text is run.
WORDS = {"SERVICE.py": "cache.py", "OTHER.py": "cache.py", "DIR": ".", "NAME": "Member", "SOURCE.cs": "source.cs"}

#: By the beginning of a command: exit codes other than 0 that are as they should be.
CODES = {"derecho doctor": {0, 1}}
