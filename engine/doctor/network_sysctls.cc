#include <fmt/format.h>

#include <optional>

#include "engine/doctor/groups.h"

namespace ringmaster::doctor {
namespace {

constexpr const char* kPersist = " (to keep it: deploy/sysctl/90-ringmaster.conf)";

std::string SetTo(std::string_view name, std::string_view value) {
  return fmt::format("sysctl -w {}={}{}", name, value, kPersist);
}

std::optional<int64_t> ReadNet(const MachineFiles& machine, std::string_view name) {
  return machine.ReadNumber(fmt::format("/proc/sys/net/{}", name));
}

void ExamineQueuesOfNewConnections(const MachineFiles& machine, const ServerPlan& plan,
                                   Findings& findings) {
  if (const std::optional<int64_t> somaxconn = ReadNet(machine, "core/somaxconn")) {
    const std::string found =
        fmt::format("net.core.somaxconn is {}; the largest backlog that a listener asks for is {}",
                    *somaxconn, plan.backlog_max);
    if (*somaxconn < plan.backlog_max) {
      findings.Add(
          Level::kWarning, "sysctl.somaxconn", found,
          "The kernel cuts the backlog to it without a word: in a burst new connections are "
          "dropped and come back a second later.",
          SetTo("net.core.somaxconn", fmt::format("{}", plan.backlog_max)));
    } else {
      findings.Ok("sysctl.somaxconn", found);
    }
  }
  const std::optional<int64_t> cookies = ReadNet(machine, "ipv4/tcp_syncookies");
  if (cookies) {
    const std::string found = fmt::format("net.ipv4.tcp_syncookies is {}", *cookies);
    if (*cookies == 0) {
      findings.Add(
          Level::kWarning, "sysctl.tcp_syncookies", found,
          "A flood of SYNs with forged addresses fills the queue, and honest clients get no "
          "answer.",
          SetTo("net.ipv4.tcp_syncookies", "1"));
    } else {
      findings.Ok("sysctl.tcp_syncookies", found);
    }
  }
  if (const std::optional<int64_t> syn_backlog = ReadNet(machine, "ipv4/tcp_max_syn_backlog")) {
    const std::string found = fmt::format("net.ipv4.tcp_max_syn_backlog is {}", *syn_backlog);
    // With cookies the kernel looks at the listener's backlog alone (tcp_conn_request).
    if (cookies == 0 && *syn_backlog < plan.backlog_max) {
      findings.Add(Level::kWarning, "sysctl.tcp_max_syn_backlog", found,
                   "Without SYN cookies it bounds the handshakes under way, below the backlog.",
                   SetTo("net.ipv4.tcp_max_syn_backlog", fmt::format("{}", plan.backlog_max)));
    } else {
      findings.Ok("sysctl.tcp_max_syn_backlog", found);
    }
  }
  if (ReadNet(machine, "ipv4/tcp_abort_on_overflow") == 1) {
    findings.Add(
        Level::kWarning, "sysctl.tcp_abort_on_overflow", "net.ipv4.tcp_abort_on_overflow is 1",
        "A client that comes while the queue is full is reset; otherwise it would be served "
        "when it tries again.",
        SetTo("net.ipv4.tcp_abort_on_overflow", "0"));
  }
}

void ExaminePorts(const MachineFiles& machine, Findings& findings) {
  const std::vector<int64_t> range = machine.ReadNumbers("/proc/sys/net/ipv4/ip_local_port_range");
  if (range.size() == 2) {
    const int64_t count = range[1] - range[0] + 1;
    const std::string found =
        fmt::format("net.ipv4.ip_local_port_range is {}-{}: {} ports", range[0], range[1], count);
    if (count < 28'000) {
      findings.Add(
          Level::kNote, "sysctl.ip_local_port_range", found,
          "Of connections that this machine opens to one address (a load generator, a "
          "back end), no more than that are possible; those it accepts are not bounded by it.",
          SetTo("net.ipv4.ip_local_port_range", "'1024 65535'"));
    } else {
      findings.Ok("sysctl.ip_local_port_range", found);
    }
  }
  if (const std::optional<int64_t> reuse = ReadNet(machine, "ipv4/tcp_tw_reuse")) {
    const std::string found = fmt::format("net.ipv4.tcp_tw_reuse is {}", *reuse);
    if (*reuse == 0) {
      findings.Add(Level::kNote, "sysctl.tcp_tw_reuse", found,
                   "Connections that this machine opens and closes quickly keep their port for a "
                   "minute; a load generator runs out of ports.",
                   SetTo("net.ipv4.tcp_tw_reuse", "1"));
    } else {
      findings.Ok("sysctl.tcp_tw_reuse", found);
    }
  }
}

// The greatest of "min default max".
void ExamineBuffer(const MachineFiles& machine, std::string_view name, std::string_view direction,
                   Findings& findings) {
  constexpr int64_t kEnough = 4 << 20;  // 100 Mbit/s over 300 ms
  const std::vector<int64_t> sizes =
      machine.ReadNumbers(fmt::format("/proc/sys/net/ipv4/{}", name));
  if (sizes.size() != 3) return;
  const std::string id = fmt::format("sysctl.{}", name);
  const std::string found = fmt::format("net.ipv4.{} ends at {} bytes", name, sizes[2]);
  if (sizes[2] < kEnough) {
    findings.Add(Level::kNote, id, found,
                 fmt::format("What one connection {} is bounded by that much a round trip: with "
                             "100 ms, to {} Mbit/s.",
                             direction, sizes[2] * 8 * 10 / 1'000'000),
                 SetTo(fmt::format("net.ipv4.{}", name),
                       fmt::format("'{} {} 6291456'", sizes[0], sizes[1])));
  } else {
    findings.Ok(id, found);
  }
}

// /proc/net/softnet_stat, one line a CPU, in hexadecimal: packets, dropped, out of time, ...
void ExaminePacketQueue(const MachineFiles& machine, Findings& findings) {
  const std::optional<std::string> text = machine.Read("/proc/net/softnet_stat");
  const std::optional<int64_t> backlog = ReadNet(machine, "core/netdev_max_backlog");
  if (!text || !backlog) return;
  int64_t packets = 0;
  int64_t dropped = 0;
  for (const std::string_view line : SplitLines(*text)) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() < 2) continue;
    packets += std::strtoll(std::string(words[0]).c_str(), nullptr, 16);
    dropped += std::strtoll(std::string(words[1]).c_str(), nullptr, 16);
  }
  const std::string found =
      fmt::format("net.core.netdev_max_backlog is {}; {} of {} packets were dropped for it",
                  *backlog, dropped, packets);
  if (dropped > 0) {
    findings.Add(
        Level::kWarning, "sysctl.netdev_max_backlog", found,
        "Packets came faster than a CPU took them in since the machine was started; each one "
        "costs its client a retransmission.",
        SetTo("net.core.netdev_max_backlog", fmt::format("{}", *backlog * 4)));
  } else {
    findings.Ok("sysctl.netdev_max_backlog", found);
  }
}

void ExamineConnectionTracking(const MachineFiles& machine, Findings& findings) {
  const std::optional<int64_t> max = ReadNet(machine, "netfilter/nf_conntrack_max");
  const std::optional<int64_t> count = ReadNet(machine, "netfilter/nf_conntrack_count");
  if (!max || !count) return;
  const std::string found = fmt::format("{} of {} tracked connections are in use", *count, *max);
  if (*count > *max / 10 * 7) {
    findings.Add(
        Level::kWarning, "sysctl.nf_conntrack_max", found,
        "When the firewall's table is full, packets of new connections are dropped, and the "
        "server never hears of them.",
        SetTo("net.netfilter.nf_conntrack_max", fmt::format("{}", *max * 4)) +
            ", or leave the server's port out: nft add rule ... tcp dport 8080 notrack");
  } else {
    findings.Ok("sysctl.nf_conntrack_max", found);
  }
}

}  // namespace

void ExamineNetworkSysctls(const MachineFiles& machine, const ServerPlan& plan,
                           Findings& findings) {
  ExamineQueuesOfNewConnections(machine, plan, findings);
  ExaminePorts(machine, findings);
  ExamineBuffer(machine, "tcp_rmem", "receives", findings);
  ExamineBuffer(machine, "tcp_wmem", "sends", findings);
  ExaminePacketQueue(machine, findings);
  ExamineConnectionTracking(machine, findings);
}

}  // namespace ringmaster::doctor
