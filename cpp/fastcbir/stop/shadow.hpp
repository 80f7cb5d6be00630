// ShadowLedger: what searches by recall really found, by the few that are repeated at full length. Floor 3.
//
// Calibration says what is expected of queries like those learned from. If those that come are others, too little is
// found, and nothing shows it. So one search in some thousand is done again, as far as was learned about, and what the
// first one missed is written down here. Where it is more than chance explains, targets are made stricter: a miss of
// alpha is planned for as alpha / 2^strictness. Nothing locks; what two threads do at once may count once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/stop/stop_model.hpp"

namespace fastcbir {

class ShadowLedger {
 public:
  ShadowLedger() = default;
  // What bytes() gave. Throws std::invalid_argument saying what is wrong with them.
  explicit ShadowLedger(std::span<const std::byte> bytes);
  // As the SHAD section of an .fcx file has it; empty when no search was numbered. Searches may run beside it.
  std::vector<std::byte> bytes() const;

  // What was looked at for one k and one target.
  struct Row {
    std::uint32_t k;
    StopTarget target;
    bool filtered;
    std::uint64_t searches;  // that were repeated
    double missed;           // mean: 1 - recall, or of targets with a probability the share that fell short
    double deviation;        // of single searches
    float strictness;
  };

  // Numbers `count` searches; which of them are to be looked at, if one in `every` is.
  std::vector<std::size_t> due(std::size_t count, std::uint32_t every);

  // The target to plan for, and the miss expected of the one asked for over that of it.
  StopTarget adjusted(const StopTarget& target, std::size_t k, bool filtered, float& scale) const;

  // recall: the share of the k nearest of the long search that the short one had.
  void note(const StopTarget& target, std::size_t k, bool filtered, double recall);
  // After the searches that were planned together: what they missed makes the next plans stricter, or less so.
  void judge(const StopTarget& target, std::size_t k, bool filtered);

  std::vector<Row> rows() const;

 private:
  struct Slot {
    std::atomic<std::uint64_t> key{0};
    std::atomic<std::uint64_t> searches{0};
    std::atomic<std::uint64_t> missed{0};   // in 2^-20
    std::atomic<std::uint64_t> squares{0};  // in 2^-20
    // Since strictness last changed.
    std::atomic<std::uint64_t> recent{0};
    std::atomic<std::uint64_t> recent_missed{0};
    std::atomic<float> strictness{0};
  };
  struct Saved;
  static std::uint64_t key_of(const StopTarget& target, std::size_t k, bool filtered);
  const Slot* find(const StopTarget& target, std::size_t k, bool filtered) const;
  Slot* find_or_claim(const StopTarget& target, std::size_t k, bool filtered);

  std::atomic<std::uint64_t> asked_{0};
  std::array<Slot, 32> slots_;  // k and targets in use; further ones are not looked at
};

}  // namespace fastcbir
