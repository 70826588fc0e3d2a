// Read by ThreadSanitizer when it starts, if the tests were built with it.
//
// A region is announced with what is in it, while applications fill claims in it. What was not pushed may or may not be
// seen then, says fabric.hpp; all of it is pushed later, and comes later.
//
// Registered memory is copied by the driver of the node whose memory it is, and a test with both nodes in one process
// looks at it once the other node has heard that this is done. What orders the two are counters in shared memory, which
// the nodes see at different addresses, or a socket: nothing that ThreadSanitizer can follow.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "race:libderecho::TcpLink::announce_with_contents\n"
           "race:take_request\n"
           "race:answer_read\n";
}
