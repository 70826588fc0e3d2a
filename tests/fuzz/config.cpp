// Configuration: a file, options one by one, and whatever is accepted put together, as joining does.
#include <derecho.h>

#include <sys/mman.h>
#include <unistd.h>

#include "capi/options.hpp"
#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

// In memory, and still a file with a name.
class File {
public:
    File() : fd_(::memfd_create("fuzz", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
        require(fd_ >= 0);
    }
    void write(std::span<const std::byte> bytes) {
        require(::ftruncate(fd_, 0) == 0);
        require(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    }
    const char* path() const { return path_.c_str(); }

private:
    const int fd_;
    const std::string path_;
};

std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What was accepted is what can be read, and setting it again changes nothing.
void read_back(derecho_config* config) {
    for (const capi::Option& option : capi::option_table()) {
        const std::string key(option.key);
        const char* value = nullptr;
        require(derecho_config_get(config, key.c_str(), &value) == DERECHO_OK);
        const std::string before = value;
        if (before.empty()) continue;
        require(derecho_config_set(config, key.c_str(), before.c_str()) == DERECHO_OK);
        require(derecho_config_get(config, key.c_str(), &value) == DERECHO_OK && before == value);
    }
}

void load_file(Input& input) {
    static File file;
    derecho_config* config = nullptr;
    require(derecho_config_create(&config) == DERECHO_OK);
    file.write(input.rest());
    if (derecho_config_load(config, file.path()) == DERECHO_OK) {
        read_back(config);
    } else {
        require(*derecho_last_error() != '\0');
    }
    derecho_config_close(config);
}

// Known keys for the most part, with what they have now, or anything else.
void set_options(Input& input) {
    capi::Options options;
    const auto table = capi::option_table();
    while (input.more()) {
        const size_t which = input.below(table.size() + 2);
        const std::string value = text(input.bytes(input.below(80)));
        if (which < table.size()) {
            (void)options.set(table[which].key, value);
        } else if (which == table.size()) {
            (void)options.set(value, "1");
        } else {
            (void)options.add_service(value, 1);
        }
        NodeOptions resolved;
        (void)options.resolve(resolved);
    }
}

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    input.below(2) ? set_options(input) : load_file(input);
    return 0;
}
