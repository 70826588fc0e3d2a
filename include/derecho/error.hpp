// One exception class for every status that a caller can act on, each with the core's own sentence.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "../derecho.h"

namespace derecho {

/** Anything that libderecho, or these headers on top of it, refuses or fails to do. */
class Error : public std::runtime_error {
public:
    Error(derecho_status status, const std::string& text) : std::runtime_error(text), status_(status) {}

    /** The status behind it; DERECHO_INTERNAL when nothing more specific applies. */
    derecho_status status() const noexcept { return status_; }

private:
    derecho_status status_;
};

/** An error that is known by its status. The classes below are named for what one does about them. */
template <derecho_status Status>
class StatusError : public Error {
public:
    explicit StatusError(const std::string& text) : Error(Status, text) {}
};

class RingFull : public StatusError<DERECHO_AGAIN> {
    using StatusError::StatusError;
};
class Timeout : public StatusError<DERECHO_TIMEOUT> {
    using StatusError::StatusError;
};
class InvalidArgument : public StatusError<DERECHO_INVALID> {
    using StatusError::StatusError;
};
class BadHandle : public StatusError<DERECHO_BAD_HANDLE> {
    using StatusError::StatusError;
};
class Closed : public StatusError<DERECHO_CLOSED> {
    using StatusError::StatusError;
};
class TooLarge : public StatusError<DERECHO_TOO_LARGE> {
    using StatusError::StatusError;
};
class NotMember : public StatusError<DERECHO_NOT_MEMBER> {
    using StatusError::StatusError;
};
class ViewChanging : public StatusError<DERECHO_WEDGED> {
    using StatusError::StatusError;
};
class Ejected : public StatusError<DERECHO_EJECTED> {
    using StatusError::StatusError;
};
class NoMajority : public StatusError<DERECHO_NO_MAJORITY> {
    using StatusError::StatusError;
};
class Unreachable : public StatusError<DERECHO_UNREACHABLE> {
    using StatusError::StatusError;
};
class Incompatible : public StatusError<DERECHO_INCOMPATIBLE> {
    using StatusError::StatusError;
};
class DuplicateNode : public StatusError<DERECHO_DUPLICATE> {
    using StatusError::StatusError;
};
class AddressInUse : public StatusError<DERECHO_ADDRESS_IN_USE> {
    using StatusError::StatusError;
};
class NoMemory : public StatusError<DERECHO_NO_MEMORY> {
    using StatusError::StatusError;
};
class MemberRemoved : public StatusError<DERECHO_REMOVED> {
    using StatusError::StatusError;
};
class UnknownMethod : public StatusError<DERECHO_UNKNOWN_METHOD> {
    using StatusError::StatusError;
};
class StateLost : public StatusError<DERECHO_STATE_LOST> {
    using StatusError::StatusError;
};

/** Members answered one ordered call differently: Replies::replies() has each one's answer. Or, as the reason of a
 *  group's end, replicas differed and option digest_policy is stop. */
class ReplicasDiffer : public StatusError<DERECHO_DIFFERS> {
    using StatusError::StatusError;
};

/** A handler failed at `member()`; `type_name()` is its exception's, in that member's language. */
class RemoteError : public StatusError<DERECHO_REMOTE_ERROR> {
public:
    /** @param said   "Type: text", as the member sent it. */
    RemoteError(uint32_t member, const std::string& said, const std::string& where)
        : StatusError(where + ": member " + std::to_string(member) + " failed: " + said),
          member_(member),
          type_name_(said.substr(0, said.find(": "))),
          text_(said.find(": ") == std::string::npos ? "" : said.substr(said.find(": ") + 2)) {}

    uint32_t member() const noexcept { return member_; }
    const std::string& type_name() const noexcept { return type_name_; }
    const std::string& text() const noexcept { return text_; }

private:
    uint32_t member_;
    std::string type_name_;
    std::string text_;
};

/** An argument or result does not fit its type. */
class EncodeError : public Error {
public:
    explicit EncodeError(const std::string& text) : Error(DERECHO_INVALID, text) {}
};

/** A message from a peer is malformed. */
class DecodeError : public Error {
public:
    explicit DecodeError(const std::string& text) : Error(DERECHO_INVALID, text) {}
};

/** A service's state could not be saved or loaded. */
class StateError : public Error {
public:
    explicit StateError(const std::string& text) : Error(DERECHO_INTERNAL, text) {}
};

/** A handler waited for the group, which is dispatched only after it returned. */
class InHandler : public Error {
public:
    explicit InHandler(const std::string& text) : Error(DERECHO_INVALID, text) {}
};

/** Throw the exception of a status with a sentence of one's own. */
[[noreturn]] inline void raise(derecho_status status, const std::string& text) {
    switch (status) {
        case DERECHO_AGAIN:
            throw RingFull(text);
        case DERECHO_TIMEOUT:
            throw Timeout(text);
        case DERECHO_INVALID:
            throw InvalidArgument(text);
        case DERECHO_BAD_HANDLE:
            throw BadHandle(text);
        case DERECHO_CLOSED:
            throw Closed(text);
        case DERECHO_TOO_LARGE:
            throw TooLarge(text);
        case DERECHO_NOT_MEMBER:
            throw NotMember(text);
        case DERECHO_WEDGED:
            throw ViewChanging(text);
        case DERECHO_EJECTED:
            throw Ejected(text);
        case DERECHO_NO_MAJORITY:
            throw NoMajority(text);
        case DERECHO_UNREACHABLE:
            throw Unreachable(text);
        case DERECHO_INCOMPATIBLE:
            throw Incompatible(text);
        case DERECHO_DUPLICATE:
            throw DuplicateNode(text);
        case DERECHO_ADDRESS_IN_USE:
            throw AddressInUse(text);
        case DERECHO_NO_MEMORY:
            throw NoMemory(text);
        case DERECHO_REMOVED:
            throw MemberRemoved(text);
        case DERECHO_UNKNOWN_METHOD:
            throw UnknownMethod(text);
        case DERECHO_STATE_LOST:
            throw StateLost(text);
        case DERECHO_DIFFERS:
            throw ReplicasDiffer(text);
        default:
            throw Error(status, text);
    }
}

/** Throw for the call of this thread that just failed; do nothing on DERECHO_OK. */
inline void check(derecho_status status) {
    if (status != DERECHO_OK) raise(status, derecho_last_error());
}

}  // namespace derecho
