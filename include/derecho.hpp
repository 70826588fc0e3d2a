// libderecho for C++20, header-only over derecho.h: docs/cpp.md.
//
//   derecho/raw.hpp       handles that close themselves, statuses as exceptions: the C ABI, and nothing more
//   derecho/service.hpp   describing a class as a service; its schema and hash, at compile time
//   derecho/group.hpp     joining with services, calling them: Group, Replicated<T>, Reply<T>, Replies<T>
//
// Link libderecho (CMake: derecho::derecho). Everything is in namespace derecho.
#pragma once

#include "derecho/group.hpp"
#include "derecho/raw.hpp"
#include "derecho/service.hpp"
