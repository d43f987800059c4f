-- Histograms among the counters of an account. Included by scripts that count how long things took.
--
-- Counted in a table of the script's own, by lane and bucket; one or two counters of each go to Redis, however many rows
-- there were.

local function bucket_of(bounds_ms, took_ms)
  local bucket = 1
  while bounds_ms[bucket] and took_ms > bounds_ms[bucket] do bucket = bucket + 1 end
  return bucket
end

-- Note that `many` rows of a lane took so long.
local function observe(histogram, bounds_ms, lane, took_ms, many)
  took_ms = math.max(0, took_ms)
  local counts = histogram[lane]
  if not counts then
    counts = { ms = 0 }
    histogram[lane] = counts
  end
  local bucket = bucket_of(bounds_ms, took_ms)
  counts[bucket] = (counts[bucket] or 0) + many
  counts.ms = counts.ms + math.floor(took_ms) * many
end

-- Add it to what the script counts: <name>:<lane>:<bucket>, <name>_ms:<lane>.
local function add_histogram(tallies, name, histogram)
  for lane, counts in pairs(histogram) do
    for bucket, many in pairs(counts) do
      local field = bucket == 'ms' and name .. '_ms:' .. lane or name .. ':' .. lane .. ':' .. bucket
      tallies[field] = many
    end
  end
end
