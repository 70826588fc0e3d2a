// Reads messages in hex, a line each: writes "ok" and what they are when encoded again, or "refused".
#include <iostream>
#include <string>

#include "everything.hpp"
#include "words.hpp"

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        try {
            const auto values = derecho::decode<everything::Values>(conformance::from_hex(line));
            std::cout << "ok " << conformance::to_hex(derecho::encode(values)) << "\n";
        } catch (const derecho::DecodeError&) {
            std::cout << "refused\n";
        }
    }
}
