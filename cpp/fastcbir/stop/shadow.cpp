#include "fastcbir/stop/shadow.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "fastcbir/core/rng.hpp"

namespace fastcbir {
namespace {

constexpr double unit = 1 << 20;
constexpr float most_strictness = 6;

double miss_of(const StopTarget& target) { return 1 - (target.probability == 0 ? target.recall : target.probability); }

}  // namespace

struct ShadowLedger::Saved {
  std::uint64_t key;
  std::uint64_t searches;
  std::uint64_t missed;
  std::uint64_t squares;
  std::uint64_t recent;
  std::uint64_t recent_missed;
  float strictness;
  std::uint32_t reserved;
};

std::vector<std::byte> ShadowLedger::bytes() const {
  const std::uint64_t asked = asked_.load(std::memory_order_relaxed);
  if (asked == 0) return {};
  std::vector<std::byte> bytes(sizeof asked);
  std::memcpy(bytes.data(), &asked, sizeof asked);
  for (const Slot& slot : slots_) {
    const Saved saved{
        slot.key.load(std::memory_order_relaxed),        slot.searches.load(std::memory_order_relaxed),
        slot.missed.load(std::memory_order_relaxed),     slot.squares.load(std::memory_order_relaxed),
        slot.recent.load(std::memory_order_relaxed),     slot.recent_missed.load(std::memory_order_relaxed),
        slot.strictness.load(std::memory_order_relaxed), 0};
    if (saved.key == 0) break;
    const auto part = std::as_bytes(std::span(&saved, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

ShadowLedger::ShadowLedger(std::span<const std::byte> bytes) {
  static_assert(sizeof(Saved) == 56);
  std::uint64_t asked = 0;
  if (bytes.size() < sizeof asked || (bytes.size() - sizeof asked) % sizeof(Saved) != 0 ||
      (bytes.size() - sizeof asked) / sizeof(Saved) > slots_.size()) {
    throw std::invalid_argument("what searches by recall missed can't take " + std::to_string(bytes.size()) + " bytes");
  }
  std::memcpy(&asked, bytes.data(), sizeof asked);
  asked_.store(asked);
  bytes = bytes.subspan(sizeof asked);
  for (std::size_t i = 0; i * sizeof(Saved) < bytes.size(); ++i) {
    Saved saved;
    std::memcpy(&saved, bytes.data() + i * sizeof saved, sizeof saved);
    if (saved.key == 0 || !(saved.strictness >= 0 && saved.strictness <= most_strictness)) {
      throw std::invalid_argument("what searches by recall missed names no target, or a strictness beyond 0..6");
    }
    Slot& slot = slots_[i];
    slot.key.store(saved.key);
    slot.searches.store(saved.searches);
    slot.missed.store(saved.missed);
    slot.squares.store(saved.squares);
    slot.recent.store(saved.recent);
    slot.recent_missed.store(saved.recent_missed);
    slot.strictness.store(saved.strictness);
  }
}

std::vector<std::size_t> ShadowLedger::due(std::size_t count, std::uint32_t every) {
  std::vector<std::size_t> places;
  if (every == 0 || count == 0) return places;
  const std::uint64_t first = asked_.fetch_add(count, std::memory_order_relaxed);
  // One of each `every`, at a place that no rhythm of the callers' keeps meeting or missing.
  for (std::uint64_t block = first / every; block <= (first + count - 1) / every; ++block) {
    const std::uint64_t at = block * every + mix64(block) % every;
    if (at >= first && at < first + count) places.push_back(static_cast<std::size_t>(at - first));
  }
  return places;
}

// The recall's bits, the probability in 2^-16, k and whether there was a filter. Never 0: a target is above 0.
std::uint64_t ShadowLedger::key_of(const StopTarget& target, std::size_t k, bool filtered) {
  const auto probability = static_cast<std::uint64_t>(std::lround(target.probability * 65536.0f));
  return std::uint64_t{std::bit_cast<std::uint32_t>(target.recall)} << 32 | probability << 15 |
         static_cast<std::uint64_t>(k) << 1 | (filtered ? 1 : 0);
}

const ShadowLedger::Slot* ShadowLedger::find(const StopTarget& target, std::size_t k, bool filtered) const {
  const std::uint64_t key = key_of(target, k, filtered);
  for (const Slot& slot : slots_) {
    const std::uint64_t there = slot.key.load(std::memory_order_relaxed);
    if (there == key) return &slot;
    if (there == 0) break;
  }
  return nullptr;
}

ShadowLedger::Slot* ShadowLedger::find_or_claim(const StopTarget& target, std::size_t k, bool filtered) {
  const std::uint64_t key = key_of(target, k, filtered);
  for (Slot& slot : slots_) {
    std::uint64_t there = 0;
    if (slot.key.compare_exchange_strong(there, key, std::memory_order_relaxed) || there == key) return &slot;
  }
  return nullptr;
}

StopTarget ShadowLedger::adjusted(const StopTarget& target, std::size_t k, bool filtered, float& scale) const {
  scale = 1;
  const Slot* const slot = find(target, k, filtered);
  if (slot == nullptr) return target;
  const float strictness = slot->strictness.load(std::memory_order_relaxed);
  if (strictness <= 0) return target;
  scale = std::exp2(strictness);
  StopTarget stricter = target;
  float& aim = target.probability == 0 ? stricter.recall : stricter.probability;
  aim = 1 - (1 - aim) / scale;
  return stricter;
}

void ShadowLedger::note(const StopTarget& target, std::size_t k, bool filtered, double recall) {
  Slot* const slot = find_or_claim(target, k, filtered);
  if (slot == nullptr) return;
  const double missed = target.probability == 0 ? 1 - recall : (recall < target.recall - 1e-6 ? 1.0 : 0.0);
  const auto add = [](std::atomic<std::uint64_t>& sum, double value) {
    sum.fetch_add(static_cast<std::uint64_t>(std::lround(value * unit)), std::memory_order_relaxed);
  };
  slot->searches.fetch_add(1, std::memory_order_relaxed);
  add(slot->missed, missed);
  add(slot->squares, missed * missed);
  slot->recent.fetch_add(1, std::memory_order_relaxed);
  add(slot->recent_missed, missed);
}

// More or fewer misses than expected by far more than chance, as single searches that miss everything would scatter
// (Poisson), is taken for a change of the queries.
void ShadowLedger::judge(const StopTarget& target, std::size_t k, bool filtered) {
  Slot* const found = find_or_claim(target, k, filtered);
  if (found == nullptr) return;
  Slot& slot = *found;
  const auto searches = static_cast<double>(slot.recent.load(std::memory_order_relaxed));
  const double missed = static_cast<double>(slot.recent_missed.load(std::memory_order_relaxed)) / unit;
  const double expected = searches * miss_of(target);
  const double chance = 3.5 * std::sqrt(expected) + 3;
  const bool too_many = missed > expected + chance;
  float strictness = slot.strictness.load(std::memory_order_relaxed);
  if (!too_many && !(strictness > 0 && missed < expected - chance)) return;
  const double factor = std::log2(std::max(missed, 0.5) / std::max(expected, 1e-9));
  const float stricter =
      std::clamp(strictness + static_cast<float>(std::clamp(factor, -1.0, 2.0)), 0.0f, most_strictness);
  if (!slot.strictness.compare_exchange_strong(strictness, stricter, std::memory_order_relaxed)) return;
  slot.recent.store(0, std::memory_order_relaxed);
  slot.recent_missed.store(0, std::memory_order_relaxed);
}

std::vector<ShadowLedger::Row> ShadowLedger::rows() const {
  std::vector<Row> rows;
  for (const Slot& slot : slots_) {
    const std::uint64_t key = slot.key.load(std::memory_order_relaxed);
    if (key == 0) break;
    const auto searches = slot.searches.load(std::memory_order_relaxed);
    if (searches == 0) continue;
    const double n = static_cast<double>(searches);
    const double mean = static_cast<double>(slot.missed.load(std::memory_order_relaxed)) / unit / n;
    const double square = static_cast<double>(slot.squares.load(std::memory_order_relaxed)) / unit / n;
    rows.push_back({static_cast<std::uint32_t>(key >> 1) & 0x3fff,
                    {std::bit_cast<float>(static_cast<std::uint32_t>(key >> 32)),
                     static_cast<float>(key >> 15 & 0x1ffff) / 65536.0f},
                    (key & 1) != 0,
                    searches,
                    mean,
                    std::sqrt(std::max(square - mean * mean, 0.0)),
                    slot.strictness.load(std::memory_order_relaxed)});
  }
  return rows;
}

}  // namespace fastcbir
