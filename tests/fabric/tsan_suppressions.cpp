// Read by ThreadSanitizer when it starts, if the tests were built with it.
//
// A region is announced with what is in it, while applications fill claims in it. What was not pushed may or may not be
// seen then, says fabric.hpp; all of it is pushed later, and comes later.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:libderecho::TcpLink::announce_with_contents\n"; }
