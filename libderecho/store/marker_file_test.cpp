// The file in which a node remembers its group: what was saved last is there when it is opened again.
#include "store/marker_file.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace libderecho {
namespace {

class MarkerFile : public ::testing::Test {
protected:
    MarkerFile() {
        char name[] = "/tmp/derecho-marker-XXXXXX";
        folder_ = ::mkdtemp(name);
        path_ = folder_ + "/state/group/1.group";
    }
    ~MarkerFile() override { std::filesystem::remove_all(folder_); }

    std::string kept() {
        std::unique_ptr<MarkerStore> store;
        std::string text;
        EXPECT_TRUE(open_marker_file(path_, store, text).ok());
        return text;
    }
    static void await(MarkerStore& store) {
        for (int i = 0; i < 5'000 && !store.saved(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        EXPECT_TRUE(store.saved());
    }

    std::string folder_, path_;
};

TEST_F(MarkerFile, keeps_what_was_saved_last) {
    std::unique_ptr<MarkerStore> store;
    std::string text = "none was read";
    ASSERT_TRUE(open_marker_file(path_, store, text).ok());
    EXPECT_EQ(text, "");
    EXPECT_TRUE(store->saved());
    for (const char* line : {"one", "two", "three"}) store->save(line);
    await(*store);
    EXPECT_EQ(kept(), "three");
    store->save("four");
    store.reset();  // not before it is written
    EXPECT_EQ(kept(), "four");
}

TEST_F(MarkerFile, is_removed_when_there_is_nothing_to_keep) {
    std::unique_ptr<MarkerStore> store;
    std::string text;
    ASSERT_TRUE(open_marker_file(path_, store, text).ok());
    store->save("something");
    store->save("");
    store.reset();
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(MarkerFile, says_why_it_can_be_neither_read_nor_written) {
    std::unique_ptr<MarkerStore> store;
    std::string text;
    std::ofstream(folder_ + "/state") << "a file where a folder should be";
    const Status status = open_marker_file(path_, store, text);
    EXPECT_EQ(status.code, DERECHO_INVALID);
    EXPECT_NE(status.detail.find("cannot make folder " + folder_ + "/state/group: Not a directory"), std::string::npos)
        << status.detail;
}

}  // namespace
}  // namespace libderecho
