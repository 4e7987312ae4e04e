#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "engine/process/pid_file.h"
#include "engine/process/resource_limits.h"
#include "engine/process/runtime_paths.h"
#include "engine/process/worker_inheritance.h"

namespace ringmaster {
namespace {

class RuntimeFiles : public testing::Test {
 protected:
  RuntimeFiles() {
    char name[] = "/tmp/ringmaster-test-XXXXXX";
    directory_ = ::mkdtemp(name);
    ::setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  }
  ~RuntimeFiles() override {
    ::unsetenv("XDG_RUNTIME_DIR");
    std::filesystem::remove_all(directory_);
  }
  std::string directory_;
};

TEST_F(RuntimeFiles, StandInTheUsersRuntimeDirectoryUnderTheServersName) {
  ServerOptions options;
  options.name = "game";
  const absl::StatusOr<RuntimePaths> paths = FindRuntimePaths(options);
  ASSERT_TRUE(paths.ok());
  EXPECT_EQ(paths->pid_file, directory_ + "/ringmaster/game.pid");
  EXPECT_EQ(paths->control_socket, directory_ + "/ringmaster/game.sock");
  EXPECT_EQ(paths->admin_socket, directory_ + "/ringmaster/game.admin.sock");
}

TEST_F(RuntimeFiles, TheControlSocketStandsBesideAPidFileThatWasGiven) {
  ServerOptions options;
  options.pid_file = "/srv/game/one.pid";
  const absl::StatusOr<RuntimePaths> paths = FindRuntimePaths(options);
  ASSERT_TRUE(paths.ok());
  EXPECT_EQ(paths->control_socket, "/srv/game/one.sock");
  EXPECT_EQ(paths->admin_socket, "/srv/game/one.admin.sock");
  EXPECT_TRUE(paths->directory.empty());
}

TEST_F(RuntimeFiles, RefuseANameThatWouldLeaveTheDirectory) {
  for (const char* name : {"", "../x", ".", "a/b"}) {
    ServerOptions options;
    options.name = name;
    EXPECT_FALSE(FindRuntimePaths(options).ok()) << name;
  }
}

TEST_F(RuntimeFiles, RefuseAPathTooLongForASocket) {
  ServerOptions options;
  options.pid_file = "/" + std::string(120, 'x') + ".pid";
  EXPECT_FALSE(FindRuntimePaths(options).ok());
}

TEST_F(RuntimeFiles, RefuseADirectoryThatOthersMayWriteTo) {
  RuntimePaths paths;
  paths.directory = directory_ + "/ringmaster";
  EXPECT_TRUE(PrepareRuntimeDirectory(paths).ok());
  EXPECT_TRUE(PrepareRuntimeDirectory(paths).ok());
  ASSERT_EQ(::chmod(paths.directory.c_str(), 0777), 0);
  EXPECT_FALSE(PrepareRuntimeDirectory(paths).ok());
  std::filesystem::remove(paths.directory);
  std::filesystem::create_directory_symlink(directory_, paths.directory);
  EXPECT_FALSE(PrepareRuntimeDirectory(paths).ok());
}

TEST_F(RuntimeFiles, APidFileHasOneHolderAndIsRemovedWithIt) {
  const std::string path = directory_ + "/one.pid";
  {
    const absl::StatusOr<PidFile> first = PidFile::Acquire(path);
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::StatusOr<PidFile> second = PidFile::Acquire(path);
    ASSERT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
    const absl::StatusOr<std::optional<pid_t>> holder = FindPidFileHolder(path);
    ASSERT_TRUE(holder.ok());
    EXPECT_EQ(*holder, ::getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  const absl::StatusOr<std::optional<pid_t>> holder = FindPidFileHolder(path);
  ASSERT_TRUE(holder.ok());
  EXPECT_EQ(*holder, std::nullopt);
}

TEST(WorkerInheritance, ReadsBackWhatItWrote) {
  WorkerInheritance role;
  role.index = 3;
  role.control_fd = 7;
  role.shared_fd = 5;
  role.configuration_fd = 6;
  role.cpu = 2;
  role.connections_max = 1000;
  role.admin = true;
  role.nice = -5;
  role.listening_sockets = {{0, 9}, {1, 11}};
  const absl::StatusOr<WorkerInheritance> read = WorkerInheritance::Parse(role.ToText());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToText(), role.ToText());
  EXPECT_TRUE(read->admin);
  EXPECT_EQ(read->nice, -5);
  EXPECT_EQ(read->Descriptors(), (std::vector<int>{9, 11, 7, 5, 6}));
}

TEST(WorkerInheritance, RefusesWhatNoMasterWrote) {
  for (const char* text :
       {"", "1", "layout=3", "layout=3 index=0 control=3", "layout=2 index=0 control=3 shared=4",
        "layout=3 color=blue", "layout=3 index=0 control=3 shared=4 nice=x",
        "layout=3 index=0 control=3 shared=4 listeners=0:1,x"}) {
    EXPECT_FALSE(WorkerInheritance::Parse(text).ok()) << text;
  }
}

TEST(WorkerConnections, FollowTheLimitOfOpenFiles) {
  EXPECT_EQ(*WorkerConnectionsMax(0, 1024, 1), 1024u - 65);
  EXPECT_EQ(*WorkerConnectionsMax(0, 1u << 30, 1), 1u << 20);
  EXPECT_EQ(*WorkerConnectionsMax(900, 1024, 1), 900u);
  EXPECT_FALSE(WorkerConnectionsMax(1000, 1024, 1).ok());
  EXPECT_FALSE(WorkerConnectionsMax(0, 32, 1).ok());
}

}  // namespace
}  // namespace ringmaster
