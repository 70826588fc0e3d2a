#include "fabric/memory.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace libderecho {
namespace {

const size_t kPage = static_cast<size_t>(::getpagesize());

size_t address_space_pages() {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages;
}

bool is_aligned(const Mapping& mapping) { return reinterpret_cast<uintptr_t>(mapping.data()) % kHugePageBytes == 0; }

TEST(Mapping, as_large_as_a_huge_page_begins_where_one_may) {
    for (const size_t size : {kHugePageBytes, 2 * kHugePageBytes, 3 * kHugePageBytes - kPage, 5 * kHugePageBytes + 1}) {
        Mapping own, sealed, theirs;
        UniqueFd fd;
        ASSERT_TRUE(map_anonymous(size, own).ok());
        ASSERT_TRUE(create_sealed("test", size, fd, sealed).ok());
        ASSERT_TRUE(map_sealed(fd.get(), size, theirs).ok());
        for (const Mapping* mapping : {&own, &sealed, &theirs}) {
            EXPECT_TRUE(is_aligned(*mapping)) << size;
            EXPECT_EQ(mapping->size(), size);
        }
        sealed.bytes().back() = std::byte{7};
        EXPECT_EQ(theirs.bytes().back(), std::byte{7});
    }
}

TEST(Mapping, takes_no_more_address_space_than_it_has_pages_and_gives_it_back) {
    for (const size_t size : {kPage, kHugePageBytes, 3 * kHugePageBytes - kPage, 5 * kHugePageBytes + 1}) {
        const size_t before = address_space_pages();
        Mapping own;
        ASSERT_TRUE(map_anonymous(size, own).ok());
        EXPECT_EQ(address_space_pages(), before + (size + kPage - 1) / kPage) << size;
        own.reset();
        EXPECT_EQ(address_space_pages(), before) << size;
    }
}

}  // namespace
}  // namespace libderecho
