// derecho_config_*.
#include "capi/config.hpp"

#include <filesystem>
#include <system_error>

#if defined(DERECHO_HAVE_TOML) && __has_include(<toml++/toml.h>)
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>
#define DERECHO_READS_TOML 1
#endif

namespace libderecho::capi {

LockedTable<OpenConfig, HandleKind::config>& configs() {
    static auto* table = new LockedTable<OpenConfig, HandleKind::config>;  // outlives all threads
    return *table;
}

namespace {

derecho_status with_config(derecho_config* config, auto&& use) {
    return guarded([&] { return configs().with(config, use); });
}

derecho_status answer(Status status) { return status.ok() ? DERECHO_OK : fail(std::move(status)); }

#ifdef DERECHO_READS_TOML

std::string place(const std::string& path, const toml::node& node) {
    return path + ":" + std::to_string(node.source().begin.line) + ": ";
}

// The text that derecho_config_set() would take. False if there is none.
bool as_text(const toml::node& node, std::string& text) {
    if (const auto value = node.as_string()) return text = value->get(), true;
    if (const auto value = node.as_integer()) return text = std::to_string(value->get()), true;
    if (const auto value = node.as_boolean()) return text = value->get() ? "true" : "false", true;
    const auto array = node.as_array();
    if (!array) return false;
    for (const toml::node& item : *array) {
        if (!item.is_string()) return false;
        text += (text.empty() ? "" : ",") + item.as_string()->get();
    }
    return true;
}

Status load(Options& options, const std::string& path) {
    toml::table file;
    std::error_code unknown;
    if (std::filesystem::is_directory(path, unknown)) return failure(DERECHO_INVALID, path + " is a directory");
    try {
        file = toml::parse_file(path);
    } catch (const toml::parse_error& error) {
        const auto line = error.source().begin.line;
        return failure(DERECHO_INVALID,
                       path + (line > 0 ? ":" + std::to_string(line) : "") + ": " + std::string(error.description()));
    }
    const toml::table* table = &file;
    if (const auto nested = file["derecho"].as_table()) table = nested;
    for (const auto& [key, node] : *table) {
        std::string text;
        if (node.is_table())
            return failure(DERECHO_INVALID, place(path, node) + "unknown table [" + std::string(key.str()) +
                                                "]; options stand at the top, or in [derecho]");
        if (!as_text(node, text))
            return failure(DERECHO_INVALID, place(path, node) + "option " + std::string(key.str()) +
                                                " is not a string, a number, true, false or a list of strings");
        if (Status status = options.set(key.str(), text); !status.ok())
            return failure(status.code, place(path, node) + status.detail);
    }
    return {};
}

#else

Status load(Options&, const std::string& path) {
    return failure(DERECHO_INVALID, path +
                                        ": this libderecho was built without toml++ and reads no files; use "
                                        "derecho_config_set() for each option");
}

#endif

}  // namespace
}  // namespace libderecho::capi

using namespace libderecho;
using namespace libderecho::capi;

derecho_status derecho_config_create(derecho_config** config_out) {
    DERECHO_REQUIRE(config_out);
    return guarded([&] {
        *config_out = static_cast<derecho_config*>(configs().add(std::make_unique<OpenConfig>()));
        return DERECHO_OK;
    });
}

derecho_status derecho_config_set(derecho_config* config, const char* key, const char* value) {
    DERECHO_REQUIRE(config);
    DERECHO_REQUIRE(key);
    DERECHO_REQUIRE(value);
    return with_config(config, [&](OpenConfig& open) { return answer(open.options.set(key, value)); });
}

derecho_status derecho_config_get(derecho_config* config, const char* key, const char** value_out) {
    DERECHO_REQUIRE(config);
    DERECHO_REQUIRE(key);
    DERECHO_REQUIRE(value_out);
    return with_config(config, [&](OpenConfig& open) {
        if (Status status = open.options.get(key, open.answer); !status.ok()) return answer(std::move(status));
        *value_out = open.answer.c_str();
        return kOk;
    });
}

derecho_status derecho_config_load(derecho_config* config, const char* path) {
    DERECHO_REQUIRE(config);
    DERECHO_REQUIRE(path);
    return with_config(config, [&](OpenConfig& open) {
        Options changed = open.options;  // all of the file, or nothing
        if (Status status = load(changed, path); !status.ok()) return answer(std::move(status));
        open.options = std::move(changed);
        return kOk;
    });
}

derecho_status derecho_config_add_service(derecho_config* config, const char* name, uint64_t schema_hash) {
    DERECHO_REQUIRE(config);
    DERECHO_REQUIRE(name);
    return with_config(config, [&](OpenConfig& open) { return answer(open.options.add_service(name, schema_hash)); });
}

derecho_status derecho_config_close(derecho_config* config) {
    DERECHO_REQUIRE(config);
    return guarded([&] { return configs().remove_if(config, [](OpenConfig&) { return true; }); });
}
