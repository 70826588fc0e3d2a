#include "capi/errors.hpp"

#include "capi/threads.hpp"

#include "abi_hash.hpp"

namespace libderecho::capi {

derecho_status fail(derecho_status code, const char* literal) {
    thread_record().error = literal;
    return code;
}

derecho_status fail(Status status) {
    ThreadRecord& record = thread_record();
    record.error_text = std::move(status.detail);
    record.error = record.error_text.empty() ? status_name(status.code) : record.error_text.c_str();
    return status.code;
}

derecho_status fail(derecho_status code) {
    const char* text = status_name(code);
    switch (code) {
        case DERECHO_OK:
            return code;
        case DERECHO_AGAIN:
            text = "there is no room right now: poll and release, then try again";
            break;
        case DERECHO_WEDGED:
            text = "the view is changing: poll, then try again";
            break;
        case DERECHO_CLOSED:
            text = "the group was closed, or this node left it";
            break;
        case DERECHO_TOO_LARGE:
            text = "larger than a message may be (options message_max_bytes and mail_bytes)";
            break;
        case DERECHO_NOT_MEMBER:
            text = "this node is a client, and clients only query: members send and make ordered calls";
            break;
        case DERECHO_EJECTED:
            text = "the other members removed this node: join again";
            break;
        case DERECHO_NO_MAJORITY:
            text = "half or more of the members that vote are lost: this node stopped";
            break;
        case DERECHO_STATE_LOST:
            text = "every member that had the state is gone";
            break;
        default:
            break;
    }
    return fail(code, text);
}

const char* last_error() { return thread_record().error; }

}  // namespace libderecho::capi

using namespace libderecho;

const char* derecho_status_name(derecho_status status) { return status_name(status); }

const char* derecho_last_error(void) { return capi::last_error(); }

uint32_t derecho_abi_version(void) { return DERECHO_ABI_VERSION; }

uint64_t derecho_abi_hash(void) { return kAbiHash; }

const char* derecho_version(void) { return DERECHO_VERSION; }
