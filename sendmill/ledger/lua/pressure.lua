-- Whether the server has room for something new: included by the scripts that take it in.
--
-- Work that was accepted needs memory until it is done: marks, outcomes, reports. So what is new is refused above 85 %
-- of `maxmemory`, by the server's own reckoning. Those scripts may not exceed the limit either (no `allow-oom`).

local MOST_SHARE = 0.85
local BELIEVED_MS = 500

-- nil where there is room, else {"full", bytes used, maxmemory}. A server that tells nothing (no right to INFO) or has no
-- limit has room. Costs 15 µs.
local function memory_used_up()
  local info = redis.pcall('INFO', 'memory')
  if type(info) ~= 'string' then return nil end
  local function figure(name) return tonumber(string.match(info, '\n' .. name .. ':(%d+)') or '0') end
  local most = figure('maxmemory')
  -- The buffers of replicas and of the AOF do not count for the server either.
  local used = figure('used_memory') - figure('mem_not_counted_for_evict')
  if most == 0 or used <= most * MOST_SHARE then return nil end
  return { 'full', string.format('%d', used), string.format('%d', most) }
end

-- The same for what is small and often, believed for half a second.
-- `name` string: "room", or the figures; `known` what it holds.
local function memory_was_used_up(name, known)
  if known == 'room' then return nil end
  if known then
    local used, most = string.match(known, '^(%d+) (%d+)$')
    return { 'full', used, most }
  end
  local full = memory_used_up()
  -- On a server that takes nothing at all this is not kept either.
  redis.pcall('SET', name, full and full[2] .. ' ' .. full[3] or 'room', 'PX', BELIEVED_MS)
  return full
end
