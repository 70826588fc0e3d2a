// The library's own log: silent unless a level and a descriptor were given. Never on the message path.
#pragma once

#include <string>

namespace libderecho::log {

enum class Level : int { off = 0, warn = 1, info = 2, debug = 3 };

bool enabled(Level level);
void set(int fd, Level level);
void write(Level level, const std::string& line);

inline void warn(const std::string& line) { write(Level::warn, line); }
inline void info(const std::string& line) { write(Level::info, line); }
inline void debug(const std::string& line) {
    if (enabled(Level::debug)) write(Level::debug, line);
}

}  // namespace libderecho::log
