#include "fabric/verbs/sysfs.hpp"

#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "fabric/os/memory.hpp"

namespace libderecho {
namespace {

constexpr char kDevices[] = "/sys/class/infiniband/";
constexpr char kFiles[] = "/sys/class/infiniband_verbs/";

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename().string());
    std::ranges::sort(names);
    return names;
}

// Empty if the kernel offers none.
std::string file_of(const std::string& device) {
    for (const std::string& name : names_in(kFiles))
        if (first_line(kFiles + name + "/ibdev") == device) return "/dev/infiniband/" + name;
    return {};
}

// What opening it says; 0 if it can be opened.
int error_of(const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    return fd.valid() ? 0 : errno;
}

std::string explain(const std::string& file, int error) {
    const std::string what = file + ": " + std::strerror(error);
    if (error == ENOENT) return what + "; a container is given it with `docker run --device /dev/infiniband`";
    if (error == EACCES || error == EPERM) return what + "; `chmod 666 " + file + "`, as rdma-core's udev rules do";
    return what;
}

}  // namespace

std::vector<std::string> rdma_devices() { return names_in(kDevices); }

std::string gid_type(const std::string& device, uint8_t port, int index) {
    return first_line(kDevices + device + "/ports/" + std::to_string(port) + "/gid_attrs/types/" +
                      std::to_string(index));
}

std::string why_not_listed(const std::string& device) {
    const std::string file = file_of(device);
    if (file.empty()) return " offers no verbs: `modprobe ib_uverbs`";
    if (const int error = error_of(file); error == ENOENT) return " cannot be opened: " + explain(file, error);
    return " has no driver for libibverbs here: `apt-get install ibverbs-providers`";
}

std::string why_not_opened(const std::string& device) {
    const int libibverbs = errno;
    const std::string file = file_of(device);
    const int error = file.empty() ? 0 : error_of(file);
    return " cannot be opened: " + (error != 0 ? explain(file, error) : std::string(std::strerror(libibverbs)));
}

}  // namespace libderecho
