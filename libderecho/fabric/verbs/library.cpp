#include "fabric/verbs/library.hpp"

#include <dlfcn.h>
#include <string>

namespace libderecho {
namespace {

struct Loaded {
    VerbsLibrary library{};
    Status status;
};

Loaded load() {
    Loaded loaded;
    void* const handle = ::dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char* const said = ::dlerror();
        loaded.status = failure(
            DERECHO_INVALID, "libibverbs is not installed (Debian: apt-get install libibverbs1 ibverbs-providers): " +
                                 std::string(said ? said : "it does not load"));
        return loaded;
    }
    const auto find = [&](auto& function, const char* name) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, name));
        if (!function)
            loaded.status = failure(DERECHO_INVALID, std::string("libibverbs is too old: it has no ") + name);
    };
    VerbsLibrary& l = loaded.library;
    find(l.get_device_list, "ibv_get_device_list");
    find(l.free_device_list, "ibv_free_device_list");
    find(l.get_device_name, "ibv_get_device_name");
    find(l.open_device, "ibv_open_device");
    find(l.close_device, "ibv_close_device");
    find(l.query_device, "ibv_query_device");
    find(l.query_port, "ibv_query_port");
    find(l.query_gid, "ibv_query_gid");
    find(l.alloc_pd, "ibv_alloc_pd");
    find(l.dealloc_pd, "ibv_dealloc_pd");
    find(l.reg_mr, "ibv_reg_mr");
    find(l.dereg_mr, "ibv_dereg_mr");
    find(l.create_comp_channel, "ibv_create_comp_channel");
    find(l.destroy_comp_channel, "ibv_destroy_comp_channel");
    find(l.create_cq, "ibv_create_cq");
    find(l.destroy_cq, "ibv_destroy_cq");
    find(l.get_cq_event, "ibv_get_cq_event");
    find(l.ack_cq_events, "ibv_ack_cq_events");
    find(l.get_async_event, "ibv_get_async_event");
    find(l.ack_async_event, "ibv_ack_async_event");
    find(l.event_type_str, "ibv_event_type_str");
    find(l.create_qp, "ibv_create_qp");
    find(l.modify_qp, "ibv_modify_qp");
    find(l.destroy_qp, "ibv_destroy_qp");
    find(l.wc_status_str, "ibv_wc_status_str");
    l.reg_dmabuf_mr = reinterpret_cast<decltype(l.reg_dmabuf_mr)>(::dlsym(handle, "ibv_reg_dmabuf_mr"));
    return loaded;
}

}  // namespace

const VerbsLibrary* verbs_library(Status& why) {
    static const Loaded loaded = load();
    why = loaded.status;
    return loaded.status.ok() ? &loaded.library : nullptr;
}

}  // namespace libderecho
