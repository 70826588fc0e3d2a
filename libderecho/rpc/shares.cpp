#include "rpc/shares.hpp"

#include <algorithm>

#include "group/epoch.hpp"
#include "group/group.hpp"
#include "smc/mail.hpp"

namespace libderecho {
namespace {

// Whoever is in a view before this node is, shows its memory of that; and of the next, should that come at once.
constexpr uint64_t kViewsAhead = 2;
// An application that is slow to take its messages keeps older views.
constexpr uint64_t kViewsKept = 8;

}  // namespace

Shares shares_of(const GroupOptions& options, uint64_t mail_bytes) {
    const uint64_t group_mail = Mail::region_bytes(Group::kMailBytes);
    const uint64_t mail = Mail::region_bytes(mail_bytes);
    const ViewMemory view = view_memory_max(options);
    Shares shares;
    shares.client = {
        .region_bytes_max = std::max(group_mail, mail), .total_bytes_max = group_mail + mail, .regions_max = 2};
    shares.newcomer = {.region_bytes_max = std::max({group_mail, mail, view.region_bytes_max}),
                       .total_bytes_max = group_mail + 2 * mail + kViewsAhead * view.bytes,
                       .regions_max = static_cast<uint32_t>(3 + kViewsAhead * view.regions)};
    shares.newcomer_idle_bytes = group_mail;
    shares.newcomers_bytes_max = limits::joins_per_view_max * shares.newcomer.total_bytes_max;
    shares.member.region_bytes_max = std::max(Shares::kGenerous.region_bytes_max, view.region_bytes_max);
    shares.member.total_bytes_max = std::max(Shares::kGenerous.total_bytes_max, kViewsKept * view.bytes);
    return shares;
}

}  // namespace libderecho
