#include "engine/doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "engine/base/json_string.h"
#include "engine/doctor/machine_files.h"

namespace ringmaster::doctor {
namespace {

constexpr size_t kColumns = 96;
constexpr size_t kIndent = 10;

struct LevelStyle {
  std::string_view name;
  std::string_view color;
  std::string_view singular;
  std::string_view plural;
};
constexpr std::array<LevelStyle, 4> kStyles = {{{"ok", "\x1b[32m", "ok", "ok"},
                                                {"note", "\x1b[36m", "note", "notes"},
                                                {"warning", "\x1b[33m", "warning", "warnings"},
                                                {"error", "\x1b[31m", "error", "errors"}}};

const LevelStyle& StyleOf(Level level) { return kStyles[static_cast<size_t>(level)]; }

size_t CountOf(const Findings& findings, Level level) {
  return static_cast<size_t>(
      std::count_if(findings.list().begin(), findings.list().end(),
                    [level](const Finding& finding) { return finding.level == level; }));
}

// `text` behind `label`, broken between words, every line but the first indented to stand below it.
void AppendWrapped(std::string& out, std::string_view label, std::string_view text) {
  size_t column = kIndent + label.size();
  out += fmt::format("{:{}}{}", "", kIndent, label);
  bool first = true;
  for (const std::string_view line : SplitLines(text)) {
    for (const std::string_view word : SplitWords(line)) {
      if (!first && column + 1 + word.size() > kColumns) {
        out += fmt::format("\n{:{}}", "", kIndent + label.size());
        column = kIndent + label.size();
      } else if (!first) {
        out += ' ';
        ++column;
      }
      out += word;
      column += word.size();
      first = false;
    }
  }
  out += '\n';
}

void AppendFinding(std::string& out, const Finding& finding, bool color) {
  const LevelStyle& style = StyleOf(finding.level);
  std::string block;
  AppendWrapped(block, "", fmt::format("{}: {}", finding.id, finding.found));
  out += fmt::format("{}{:<{}}{}", color ? style.color : "", style.name, kIndent,
                     color ? "\x1b[0m" : "");
  out += std::string_view(block).substr(kIndent);
  if (!finding.why.empty()) AppendWrapped(out, "why: ", finding.why);
  if (!finding.remedy.empty()) AppendWrapped(out, "do:  ", finding.remedy);
}

}  // namespace

std::string_view LevelName(Level level) { return StyleOf(level).name; }

std::string ReportText(const Findings& findings, bool color) {
  std::string out;
  for (const Level level : {Level::kOk, Level::kNote, Level::kWarning, Level::kError}) {
    for (const Finding& finding : findings.list()) {
      if (finding.level == level) AppendFinding(out, finding, color);
    }
  }
  std::string_view separator = "\n";
  for (const Level level : {Level::kError, Level::kWarning, Level::kNote, Level::kOk}) {
    const size_t count = CountOf(findings, level);
    const LevelStyle& style = StyleOf(level);
    out += fmt::format("{}{} {}", separator, count, count == 1 ? style.singular : style.plural);
    separator = ", ";
  }
  out += '\n';
  return out;
}

std::string ReportJson(const Findings& findings) {
  std::string out = "{\"findings\":[";
  std::string_view separator;
  for (const Finding& finding : findings.list()) {
    out += separator;
    separator = ",";
    out += "{\"id\":";
    AppendJsonString(out, finding.id);
    out += ",\"level\":";
    AppendJsonString(out, LevelName(finding.level));
    out += ",\"found\":";
    AppendJsonString(out, finding.found);
    out += ",\"why\":";
    AppendJsonString(out, finding.why);
    out += ",\"remedy\":";
    AppendJsonString(out, finding.remedy);
    out += '}';
  }
  fmt::format_to(std::back_inserter(out), R"(],"ok":{},"notes":{},"warnings":{},"errors":{}}})",
                 CountOf(findings, Level::kOk), CountOf(findings, Level::kNote),
                 CountOf(findings, Level::kWarning), CountOf(findings, Level::kError));
  out += '\n';
  return out;
}

int ExitStatus(const Findings& findings) { return CountOf(findings, Level::kError) == 0 ? 0 : 1; }

}  // namespace ringmaster::doctor
