// Each group of findings on machines made of files: what a fault looks like in /proc and /sys, and
// that a machine without it is not accused.

#include "engine/doctor/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/doctor/report.h"
#include "tests/engine/doctor/fake_machine.h"

namespace ringmaster::doctor {
namespace {

using testing::HasSubstr;

class Doctor : public testing::Test {
 protected:
  using Group = void (*)(const MachineFiles&, const ServerPlan&, Findings&);

  Finding Find(Group group, std::string_view id) {
    Findings findings;
    group(machine_.files(), plan_, findings);
    return FindingOf(findings, id);
  }
  // The level that the group gives to `id`.
  void Expect(Level level, Group group, std::string_view id) {
    const Finding finding = Find(group, id);
    ASSERT_EQ(finding.id, id) << "there is no such finding";
    EXPECT_EQ(LevelName(finding.level), LevelName(level)) << finding.found;
    EXPECT_FALSE(finding.found.empty());
    EXPECT_EQ(finding.why.empty(), level == Level::kOk) << finding.why;
    EXPECT_EQ(finding.remedy.empty(), level == Level::kOk) << finding.remedy;
  }
  Finding Kernel(std::string_view id, bool ring_works = true) {
    Findings findings;
    ExamineKernel(machine_.files(), {ring_works, "as probed"}, findings);
    return FindingOf(findings, id);
  }
  void Sysctl(std::string_view name, std::string_view value) {
    machine_.Write("/proc/sys/" + std::string(name), value);
  }

  FakeMachine machine_;
  ServerPlan plan_;
};

TEST_F(Doctor, JudgesTheKernelByWhatTheEngineUses) {
  const std::pair<const char*, Level> kReleases[] = {
      {"5.19.0-1-amd64", Level::kError},   {"6.0.12", Level::kWarning},
      {"6.1.0-37-amd64", Level::kNote},    {"6.11.9", Level::kNote},
      {"6.12.48+deb13-amd64", Level::kOk}, {"7.0.0-rc1", Level::kOk}};
  for (const auto& [release, level] : kReleases) {
    Sysctl("kernel/osrelease", release);
    const Finding finding = Kernel("kernel.version");
    EXPECT_EQ(finding.level, level) << release;
    EXPECT_THAT(finding.found, HasSubstr(release));
  }
  Sysctl("kernel/osrelease", "nonsense");
  EXPECT_EQ(Kernel("kernel.version").id, "");
}

TEST_F(Doctor, NamesTheSwitchThatForbidsIoUring) {
  EXPECT_EQ(Kernel("io_uring.ring").level, Level::kOk);
  EXPECT_EQ(Kernel("io_uring.allowed").id, "");
  Sysctl("kernel/io_uring_disabled", "0");
  EXPECT_EQ(Kernel("io_uring.allowed").level, Level::kOk);
  // Root may, the service's user may not.
  Sysctl("kernel/io_uring_disabled", "1");
  Sysctl("kernel/io_uring_group", "-1");
  EXPECT_EQ(Kernel("io_uring.allowed").level, Level::kWarning);
  EXPECT_EQ(Kernel("io_uring.ring", false).level, Level::kError);
  EXPECT_THAT(Kernel("io_uring.ring", false).remedy, HasSubstr("io_uring_group (it is -1)"));
  Sysctl("kernel/io_uring_disabled", "2");
  EXPECT_THAT(Kernel("io_uring.ring", false).remedy, HasSubstr("io_uring_disabled=0"));
  Sysctl("kernel/io_uring_disabled", "0");
  EXPECT_THAT(Kernel("io_uring.ring", false).remedy, HasSubstr("seccomp.json"));
}

constexpr char kLimits[] =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max open files            1024                 {files}              files     \n"
    "Max locked memory         8388608              {locked}             bytes     ";

std::string LimitsWith(const std::string& files, const std::string& locked) {
  std::string text = kLimits;
  text.replace(text.find("{files}"), 7, files);
  text.replace(text.find("{locked}"), 8, locked);
  return text;
}

TEST_F(Doctor, HoldsTheDescriptorLimitAgainstTheConfiguration) {
  machine_.Write("/proc/self/limits", LimitsWith("1048576", "unlimited"));
  Expect(Level::kOk, ExamineLimits, "limits.nofile");
  machine_.Write("/proc/self/limits", LimitsWith("4096", "unlimited"));
  Expect(Level::kWarning, ExamineLimits, "limits.nofile");
  EXPECT_THAT(Find(ExamineLimits, "limits.nofile").remedy, HasSubstr("LimitNOFILE="));
  // A number that was asked for and fits is no fault; one that does not keeps the server from
  // starting.
  plan_.worker_connections_max = 4000;
  Expect(Level::kOk, ExamineLimits, "limits.nofile");
  plan_.worker_connections_max = 5000;
  Expect(Level::kError, ExamineLimits, "limits.nofile");
  EXPECT_THAT(Find(ExamineLimits, "limits.nofile").found, HasSubstr("5000"));
}

TEST_F(Doctor, CountsLockedMemoryOfTwoGenerations) {
  plan_.workers = 8;
  const uint64_t needed = 16 * LockedBytesEstimate(plan_.ring);
  machine_.Write("/proc/self/status", "Name:\tringmaster\nCapEff:\t0000000000000000");
  machine_.Write("/proc/self/limits", LimitsWith("1048576", std::to_string(needed)));
  Expect(Level::kOk, ExamineLimits, "limits.memlock");
  machine_.Write("/proc/self/limits", LimitsWith("1048576", std::to_string(needed - 1)));
  Expect(Level::kWarning, ExamineLimits, "limits.memlock");
  // CAP_IPC_LOCK is not counted, but belongs to this user only.
  machine_.Write("/proc/self/status", "Name:\tringmaster\nCapEff:\t0000000000004000");
  Expect(Level::kNote, ExamineLimits, "limits.memlock");
}

TEST_F(Doctor, HoldsTheMachinesFilesAgainstTheConfiguration) {
  Sysctl("fs/nr_open", "1048576");
  Sysctl("fs/file-max", "9223372036854775807");
  Expect(Level::kOk, ExamineLimits, "limits.nr_open");
  Expect(Level::kOk, ExamineLimits, "limits.file_max");
  plan_.worker_connections_max = 2'000'000;
  Expect(Level::kWarning, ExamineLimits, "limits.nr_open");
  Sysctl("fs/file-max", "100000");
  Expect(Level::kWarning, ExamineLimits, "limits.file_max");
}

struct SysctlCase {
  const char* file;
  const char* id;
  const char* good;
  const char* bad;
  Level bad_level;
};

class DoctorSysctls : public Doctor, public testing::WithParamInterface<SysctlCase> {};

TEST_P(DoctorSysctls, AreJudged) {
  const SysctlCase& sysctl = GetParam();
  EXPECT_EQ(Find(ExamineNetworkSysctls, sysctl.id).id, "") << "found although it cannot be read";
  Sysctl(sysctl.file, sysctl.good);
  Expect(Level::kOk, ExamineNetworkSysctls, sysctl.id);
  Sysctl(sysctl.file, sysctl.bad);
  Expect(sysctl.bad_level, ExamineNetworkSysctls, sysctl.id);
  EXPECT_THAT(Find(ExamineNetworkSysctls, sysctl.id).remedy, HasSubstr("sysctl -w net."));
}

INSTANTIATE_TEST_SUITE_P(
    All, DoctorSysctls,
    testing::Values(
        SysctlCase{"net/core/somaxconn", "sysctl.somaxconn", "4096", "128", Level::kWarning},
        SysctlCase{"net/ipv4/tcp_syncookies", "sysctl.tcp_syncookies", "1", "0", Level::kWarning},
        SysctlCase{"net/ipv4/ip_local_port_range", "sysctl.ip_local_port_range", "32768\t60999",
                   "40000\t41000", Level::kNote},
        SysctlCase{"net/ipv4/tcp_tw_reuse", "sysctl.tcp_tw_reuse", "2", "0", Level::kNote},
        SysctlCase{"net/ipv4/tcp_rmem", "sysctl.tcp_rmem", "4096\t131072\t6291456",
                   "4096\t16384\t131072", Level::kNote},
        SysctlCase{"net/ipv4/tcp_wmem", "sysctl.tcp_wmem", "4096\t16384\t4194304",
                   "4096\t16384\t131072", Level::kNote}),
    [](const testing::TestParamInfo<SysctlCase>& tested) {
      return std::string(tested.param.id).substr(std::string("sysctl.").size());
    });

TEST_F(Doctor, JudgesTheSynBacklogOnlyWithoutCookies) {
  Sysctl("net/ipv4/tcp_max_syn_backlog", "128");
  Sysctl("net/ipv4/tcp_syncookies", "1");
  Expect(Level::kOk, ExamineNetworkSysctls, "sysctl.tcp_max_syn_backlog");
  Sysctl("net/ipv4/tcp_syncookies", "0");
  Expect(Level::kWarning, ExamineNetworkSysctls, "sysctl.tcp_max_syn_backlog");
}

TEST_F(Doctor, WarnsOfPacketsThatWereDropped) {
  Sysctl("net/core/netdev_max_backlog", "1000");
  machine_.Write("/proc/net/softnet_stat",
                 "000186a0 00000000 00000000\n00000010 00000000 00000000");
  Expect(Level::kOk, ExamineNetworkSysctls, "sysctl.netdev_max_backlog");
  machine_.Write("/proc/net/softnet_stat",
                 "000186a0 00000000 00000000\n00000010 0000001f 00000000");
  Expect(Level::kWarning, ExamineNetworkSysctls, "sysctl.netdev_max_backlog");
  EXPECT_THAT(Find(ExamineNetworkSysctls, "sysctl.netdev_max_backlog").found,
              HasSubstr("31 of 100016"));
}

TEST_F(Doctor, WarnsOfAFirewallTableThatIsNearlyFull) {
  Sysctl("net/netfilter/nf_conntrack_max", "65536");
  Sysctl("net/netfilter/nf_conntrack_count", "1000");
  Expect(Level::kOk, ExamineNetworkSysctls, "sysctl.nf_conntrack_max");
  Sysctl("net/netfilter/nf_conntrack_count", "60000");
  Expect(Level::kWarning, ExamineNetworkSysctls, "sysctl.nf_conntrack_max");
}

class DoctorCards : public Doctor {
 protected:
  void Card(const std::string& name, int queues, const std::string& rps_mask) {
    machine_.MakeDirectory("/sys/class/net/" + name + "/device");
    for (int i = 0; i < queues; ++i) {
      machine_.Write("/sys/class/net/" + name + "/queues/rx-" + std::to_string(i) + "/rps_cpus",
                     rps_mask);
    }
  }
  void Interrupt(const std::string& number, const std::string& cpus) {
    machine_.MakeDirectory("/sys/class/net/eth0/device/msi_irqs/" + number);
    machine_.Write("/proc/irq/" + number + "/smp_affinity_list", cpus);
  }
};

TEST_F(DoctorCards, NeedAQueueForEachWorker) {
  plan_.workers = 8;
  Card("eth0", 8, "00");
  Expect(Level::kOk, ExamineNetworkQueues, "network.queues.eth0");
  Card("eth1", 4, "00");
  Expect(Level::kNote, ExamineNetworkQueues, "network.queues.eth1");
  Card("eth2", 1, "00,00000000");
  Expect(Level::kWarning, ExamineNetworkQueues, "network.queues.eth2");
  EXPECT_THAT(Find(ExamineNetworkQueues, "network.queues.eth2").remedy,
              HasSubstr("ethtool -L eth2 combined 8"));
  machine_.Write("/sys/devices/system/cpu/online", "0-33");
  EXPECT_THAT(Find(ExamineNetworkQueues, "network.queues.eth2").remedy,
              HasSubstr("echo 3,ffffffff > "));
  machine_.Write("/sys/devices/system/cpu/online", "0-5");
  EXPECT_THAT(Find(ExamineNetworkQueues, "network.queues.eth2").remedy, HasSubstr("echo 3f > "));
  // The kernel spreads what the card does not.
  Card("eth3", 1, "00,000000ff");
  Expect(Level::kOk, ExamineNetworkQueues, "network.queues.eth3");
}

TEST_F(DoctorCards, AreNotLoopbackOrBridges) {
  machine_.Write("/sys/class/net/lo/queues/rx-0/rps_cpus", "00");
  plan_.workers = 8;
  EXPECT_EQ(Find(ExamineNetworkQueues, "network.queues.lo").id, "");
}

TEST_F(DoctorCards, MayNotAllInterruptOneCpu) {
  machine_.Write("/sys/devices/system/cpu/online", "0-3");
  Card("eth0", 2, "00");
  Interrupt("24", "0-3");
  Interrupt("25", "0-3");
  machine_.Write("/proc/interrupts",
                 "           CPU0       CPU1       CPU2       CPU3\n"
                 " 24:      60000          0          0          0  PCI-MSI 1-edge  eth0-rx-0\n"
                 " 25:          0      60000          0          0  PCI-MSI 2-edge  eth0-rx-1\n"
                 " 26:    9999999          0          0          0  PCI-MSI 3-edge  nvme0q0");
  Expect(Level::kOk, ExamineNetworkQueues, "network.interrupts.eth0");
  EXPECT_THAT(Find(ExamineNetworkQueues, "network.interrupts.eth0").found, HasSubstr("50 %"));
  machine_.Write("/proc/interrupts",
                 "           CPU0       CPU1       CPU2       CPU3\n"
                 " 24:          0          0          0      60000  PCI-MSI 1-edge  eth0-rx-0\n"
                 " 25:          0        100          0      60000  PCI-MSI 2-edge  eth0-rx-1");
  Expect(Level::kNote, ExamineNetworkQueues, "network.interrupts.eth0");
  EXPECT_THAT(Find(ExamineNetworkQueues, "network.interrupts.eth0").found, HasSubstr("CPU 3"));
  Interrupt("24", "3");
  Interrupt("25", "3");
  Expect(Level::kWarning, ExamineNetworkQueues, "network.interrupts.eth0");
}

TEST_F(DoctorCards, AreMovedByIrqbalanceWhereWorkersAreNot) {
  machine_.Write("/proc/17/comm", "irqbalance-ui");
  Expect(Level::kOk, ExamineNetworkQueues, "network.irqbalance");
  machine_.Write("/proc/4711/comm", "irqbalance");
  Expect(Level::kNote, ExamineNetworkQueues, "network.irqbalance");
  plan_.pin_workers = false;
  EXPECT_EQ(Find(ExamineNetworkQueues, "network.irqbalance").id, "");
}

TEST_F(Doctor, LooksAtEveryCpusGovernor) {
  Expect(Level::kOk, ExamineProcessors, "cpu.governor");
  machine_.Write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance");
  machine_.Write("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave");
  Expect(Level::kOk, ExamineProcessors, "cpu.governor");
  machine_.Write("/sys/devices/system/cpu/cpu11/cpufreq/scaling_governor", "powersave");
  Expect(Level::kNote, ExamineProcessors, "cpu.governor");
  EXPECT_THAT(Find(ExamineProcessors, "cpu.governor").found, HasSubstr("performance, powersave"));
}

TEST_F(Doctor, KnowsHugePagesNodesClockAndIsolation) {
  machine_.Write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
  Expect(Level::kOk, ExamineProcessors, "cpu.huge_pages");
  machine_.Write("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
  Expect(Level::kNote, ExamineProcessors, "cpu.huge_pages");

  machine_.MakeDirectory("/sys/devices/system/node/node0");
  Expect(Level::kOk, ExamineProcessors, "cpu.numa");
  machine_.MakeDirectory("/sys/devices/system/node/node1");
  machine_.Write("/sys/class/net/eth0/device/numa_node", "1");
  Expect(Level::kNote, ExamineProcessors, "cpu.numa");
  EXPECT_THAT(Find(ExamineProcessors, "cpu.numa").found, HasSubstr("eth0 is at node 1"));

  const char* clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  machine_.Write(clock, "tsc");
  Expect(Level::kOk, ExamineProcessors, "cpu.clock");
  machine_.Write(clock, "hpet");
  Expect(Level::kWarning, ExamineProcessors, "cpu.clock");

  machine_.Write("/sys/devices/system/cpu/isolated", "");
  EXPECT_EQ(Find(ExamineProcessors, "cpu.isolated").id, "");
  machine_.Write("/sys/devices/system/cpu/isolated", "2-7");
  Expect(Level::kOk, ExamineProcessors, "cpu.isolated");
  plan_.pin_workers = false;
  Expect(Level::kWarning, ExamineProcessors, "cpu.isolated");
}

TEST_F(Doctor, TakesTheTightestControlGroup) {
  plan_.workers = 4;
  machine_.Write("/proc/self/cgroup", "0::/system.slice/ringmaster.service");
  machine_.Write("/sys/fs/cgroup/system.slice/ringmaster.service/cpu.max", "max 100000");
  machine_.Write("/sys/fs/cgroup/system.slice/ringmaster.service/memory.max", "max");
  machine_.Write("/sys/fs/cgroup/system.slice/ringmaster.service/pids.max", "4096");
  machine_.Write("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB");
  Expect(Level::kOk, ExamineControlGroup, "cgroup.cpu");
  Expect(Level::kOk, ExamineControlGroup, "cgroup.memory");
  Expect(Level::kOk, ExamineControlGroup, "cgroup.pids");

  machine_.Write("/sys/fs/cgroup/system.slice/cpu.max", "150000 100000");
  Expect(Level::kWarning, ExamineControlGroup, "cgroup.cpu");
  EXPECT_THAT(Find(ExamineControlGroup, "cgroup.cpu").remedy, HasSubstr("\"workers\": 2"));
  plan_.workers = 2;
  Expect(Level::kOk, ExamineControlGroup, "cgroup.cpu");
  machine_.Write("/sys/fs/cgroup/system.slice/ringmaster.service/cpu.stat",
                 "usage_usec 17\nnr_periods 10\nnr_throttled 3");
  Expect(Level::kNote, ExamineControlGroup, "cgroup.cpu");

  machine_.Write("/sys/fs/cgroup/system.slice/memory.max", "536870912");
  Expect(Level::kWarning, ExamineControlGroup, "cgroup.memory");
  EXPECT_THAT(Find(ExamineControlGroup, "cgroup.memory").found, HasSubstr("512 MiB"));
  machine_.Write("/sys/fs/cgroup/system.slice/pids.max", "8");
  Expect(Level::kWarning, ExamineControlGroup, "cgroup.pids");
}

TEST_F(Doctor, ComparesBuffersWithTheMachinesMemoryWithoutAGroup) {
  plan_.workers = 64;
  machine_.Write("/proc/meminfo", "MemTotal:       16000000 kB");
  Expect(Level::kWarning, ExamineControlGroup, "cgroup.memory");
  plan_.buffered_bytes_hard = 64u << 20;
  Expect(Level::kOk, ExamineControlGroup, "cgroup.memory");
  plan_.buffered_bytes_hard = 0;
  Expect(Level::kWarning, ExamineControlGroup, "cgroup.memory");
}

TEST_F(Doctor, SaysHowTightItIsHeld) {
  machine_.Write("/proc/self/status", "Uid:\t0\t0\t0\t0\nNoNewPrivs:\t0\nSeccomp:\t0");
  Expect(Level::kNote, ExamineSurroundings, "sandbox.user");
  Expect(Level::kNote, ExamineSurroundings, "sandbox.filter");
  machine_.Write("/proc/self/status", "Uid:\t0\t998\t998\t998\nNoNewPrivs:\t1\nSeccomp:\t2");
  Expect(Level::kOk, ExamineSurroundings, "sandbox.user");
  Expect(Level::kOk, ExamineSurroundings, "sandbox.filter");
  Expect(Level::kOk, ExamineSurroundings, "sandbox.container");
  machine_.Write("/run/systemd/container", "lxc");
  Expect(Level::kNote, ExamineSurroundings, "sandbox.container");
}

TEST_F(Doctor, FindsDirectoriesThatAreNotThere) {
  machine_.MakeDirectory("/run/ringmaster");
  plan_.runtime_directory = "/run/ringmaster";
  Expect(Level::kOk, ExamineSurroundings, "files.runtime");
  plan_.log_file = "/var/log/ringmaster/ringmaster.log";
  Expect(Level::kError, ExamineSurroundings, "files.log");
  EXPECT_THAT(Find(ExamineSurroundings, "files.log").remedy, HasSubstr("/var/log/ringmaster"));
}

// A kernel without any of it, or a sandbox that hides everything.
TEST_F(Doctor, AccusesNothingThatItCannotRead) {
  const Findings findings = Examine(machine_.files(), plan_, {true, "works"});
  for (const Finding& finding : findings.list()) {
    EXPECT_EQ(finding.level, Level::kOk) << finding.id << ": " << finding.found;
  }
}

TEST_F(Doctor, SurvivesNonsense) {
  for (const char* path :
       {"/proc/self/limits", "/proc/self/status", "/proc/self/cgroup", "/proc/interrupts",
        "/proc/meminfo", "/proc/net/softnet_stat", "/proc/sys/net/core/netdev_max_backlog",
        "/proc/sys/net/ipv4/tcp_rmem", "/sys/devices/system/cpu/online", "/proc/sys/fs/nr_open",
        "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/class/net/e/device/msi_irqs/x"}) {
    machine_.Write(path,
                   "]:[ \t-99999999999999999999 CapEff:\tzz\n\nUid:\nCapEff: xyz\nMax open files");
  }
  const Findings findings = Examine(machine_.files(), plan_, {true, "works"});
  EXPECT_FALSE(findings.list().empty());
}

TEST(DoctorReport, CountsAndSorts) {
  Findings findings;
  findings.Add(Level::kError, "a.error", "first", "because", "run this");
  findings.Ok("b.ok", "second");
  findings.Add(Level::kWarning, "c.warning", "third", "because", "run that");
  const std::string text = ReportText(findings, /*color=*/false);
  EXPECT_EQ(text,
            "ok        b.ok: second\n"
            "warning   c.warning: third\n"
            "          why: because\n"
            "          do:  run that\n"
            "error     a.error: first\n"
            "          why: because\n"
            "          do:  run this\n"
            "\n1 error, 1 warning, 0 notes, 1 ok\n");
  EXPECT_EQ(ExitStatus(findings), 1);
  EXPECT_THAT(ReportText(findings, /*color=*/true), HasSubstr("\x1b[31merror"));
}

TEST(DoctorReport, EndsWithZeroForWarnings) {
  Findings findings;
  findings.Add(Level::kWarning, "c.warning", "third", "because", "run that");
  EXPECT_EQ(ExitStatus(findings), 0);
}

TEST(DoctorReport, FitsATerminal) {
  Findings findings;
  std::string long_text;
  for (int i = 0; i < 60; ++i) long_text += "word" + std::to_string(i) + " ";
  findings.Add(Level::kNote, "a.note", long_text, long_text, long_text);
  const std::string text = ReportText(findings, /*color=*/false);
  for (const std::string_view line : SplitLines(text)) EXPECT_LE(line.size(), 96u) << line;
  EXPECT_THAT(text, HasSubstr("word59"));
}

TEST(DoctorReport, IsJson) {
  Findings findings;
  findings.Add(Level::kNote, "a.note", "say \"hi\"", "because", "do");
  EXPECT_EQ(ReportJson(findings),
            R"({"findings":[{"id":"a.note","level":"note","found":"say \"hi\"","why":"because",)"
            R"("remedy":"do"}],"ok":0,"notes":1,"warnings":0,"errors":0})"
            "\n");
}

// On the machine at hand: every id once, and everything that is asked for by the groups' own names.
TEST(DoctorHere, ExaminesThisMachine) {
  ServerPlan plan;
  const RingProbe probe = TryRing(plan.ring);
  EXPECT_TRUE(probe.works) << probe.text;
  const Findings findings = Examine(MachineFiles(), plan, probe);
  std::set<std::string> ids;
  for (const Finding& finding : findings.list()) {
    EXPECT_TRUE(ids.insert(finding.id).second) << finding.id;
  }
  for (const char* id : {"kernel.version", "io_uring.ring", "limits.nofile", "limits.memlock",
                         "sandbox.user", "sandbox.filter", "cgroup.memory"}) {
    EXPECT_TRUE(ids.contains(id)) << id;
  }
}

TEST(DoctorHere, PlansForTheServerAsDefined) {
  ServerDefinition server;
  server.options.workers = 3;
  server.options.ring_entries = 256;
  server.options.log_file = "/var/log/x.log";
  ListenerDefinition listener;
  listener.address = *Address::Parse("127.0.0.1:0");
  listener.backlog = 77;
  server.Listen(std::move(listener));
  RuntimePaths paths;
  paths.pid_file = "/run/ringmaster/ringmaster.pid";
  const ServerPlan plan = PlanOf(server, paths);
  EXPECT_EQ(plan.workers, 3u);
  EXPECT_EQ(plan.backlog_max, 77);
  EXPECT_EQ(plan.ring.sq_entries, 256u);
  EXPECT_EQ(plan.runtime_directory, "/run/ringmaster");
  EXPECT_EQ(plan.log_file, "/var/log/x.log");
}

}  // namespace
}  // namespace ringmaster::doctor
