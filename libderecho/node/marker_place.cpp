#include "node/marker_place.hpp"

#include <cstdlib>

#include "base/log.hpp"
#include "store/marker_file.hpp"

namespace libderecho {
namespace {

// As a part of a path: letters, digits and some signs stay as they are.
std::string escaped(const std::string& name) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-_:[]@").find(c) != std::string_view::npos || (c == '.' && !text.empty());
        const auto byte = static_cast<uint8_t>(c);
        text += plain ? std::string(1, c) : std::string{'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return text;
}

std::string state_folder() {
    if (const char* state = std::getenv("XDG_STATE_HOME"); state && state[0] == '/')
        return std::string(state) + "/derecho";
    if (const char* home = std::getenv("HOME"); home && home[0] == '/')
        return std::string(home) + "/.local/state/derecho";
    return "";
}

// A port that was picked by the system says nothing about who had it before.
bool has_lasting_address(const NetFabricOptions& options) {
    const std::string& address = options.advertise.empty() ? options.listen : options.advertise;
    return !address.ends_with(":0");
}

}  // namespace

Status open_marker(NodeOptions& options, std::unique_ptr<MarkerStore>& out) {
    const bool told = !options.data_dir.empty();
    if (options.group.client) return {};
    const auto without = [](const std::string& why) {
        log::info("this node will not remember its group after a restart: " + why);
        return Status{};
    };
    if (!told && !has_lasting_address(options.fabric))
        return without("it listens at port 0, so at another one each time");
    const std::string folder = told ? options.data_dir : state_folder();
    if (folder.empty()) return without("neither option data_dir is set, nor XDG_STATE_HOME, nor HOME");
    std::string name = std::to_string(raw(options.group.self));
    if (!told) name += "@" + escaped(options.group.address);
    const std::string path = folder + "/" + escaped(options.fabric.group_name) + "/" + name + ".group";
    std::string text;
    if (Status status = open_marker_file(path, out, text); !status.ok()) {
        if (told) return failure(status.code, "option data_dir: " + status.detail);
        return without(status.detail);
    }
    const auto marker = marker_in(text);
    if (!marker)
        return failure(DERECHO_INVALID, path +
                                            ", in which this node remembers its group, is damaged: if the group is "
                                            "gone for good, remove it");
    options.group.marker = *marker;
    return {};
}

}  // namespace libderecho
