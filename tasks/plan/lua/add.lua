#!lua flags=allow-oom
-- include rows.lua
-- include enqueue.lua
-- Take slices into the account. Running it twice adds nothing: a slice that is there stays as it is.
-- KEYS[1] the account's state hash
-- ARGV[1] ms until which the slices wait (0: not at all; -1: until claimable.lua lets them be claimed),
-- then for each slice: id, blob, msgpack [[code, detail, [row offset of one state, …]], …] ("" for none), ms of its horizon
-- Returns the number of slices that were new.

local SHARED_FROM = 100 -- what is told of so many rows quotes none of them, and is written once for their state
local AT_ONCE = 4000 -- Lua unpacks no more than 8,000

-- Write what there is to tell about rows; returns it by row offset.
local function write_details(s, packed)
  local name, word_of, shared = key('d:' .. s.id), {}, {}
  for _, group in ipairs(cmsgpack.unpack(packed)) do
    local word = { code = group[1], detail = group[2] }
    local told, offsets = cmsgpack.pack(word), group[3]
    local state = states_of(s, offsets[1], offsets[1])
    local once = #offsets >= SHARED_FROM and not shared[state]
    local fields = {}
    if once then
      shared[state] = true
      fields = { '@' .. state, told }
    end
    for _, offset in ipairs(offsets) do
      word_of[offset] = word
      if not once then
        fields[#fields + 1] = offset
        fields[#fields + 1] = told
        if #fields == AT_ONCE then
          redis.call('HSET', name, unpack(fields))
          fields = {}
        end
      end
    end
    if #fields > 0 then redis.call('HSET', name, unpack(fields)) end
  end
  return word_of
end

-- Rows that were refused or suppressed before they came here: their consumers hear it now, of equal rows at once.
local function tell(s, word_of, now)
  local states, run, word_of_run = states_of(s, 0, s.n - 1), nil, nil
  for offset = 0, s.n - 1 do
    local state = string.sub(states, offset + 1, offset + 1)
    local word = word_of[offset]
    if not FINAL[state] then
      run = nil
    elseif run and run[4] == state and word_of_run == word then
      run[2] = offset
    else
      run = { offset, offset, 'a', state, word and word.code or '', word and word.detail or '', '', 0, math.floor(now) }
      word_of_run = word
      s.told[#s.told + 1] = run
    end
  end
end

local now = clock_ms()
local any_cancelled = redis.call('EXISTS', key('cancelled')) == 1
local added = 0
for i = 2, #ARGV, 4 do
  local id, blob, details = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('EXISTS', key('s:' .. id)) == 0 then
    added = added + 1
    redis.call('SET', key('s:' .. id), blob)
    local s = slice_of(id)
    note_arrived(s)
    local word_of = details ~= '' and write_details(s, details) or {}
    local queued = count_of(s, 'q')
    if queued < s.n and s.events ~= '0' then tell(s, word_of, now) end
    if queued > 0 and any_cancelled and redis.call('SISMEMBER', key('cancelled'), s.job) == 1 then
      move_where(s, 0, s.n - 1, 'c', now, function(state) return state == 'q' end)
    elseif queued > 0 and ARGV[1] ~= '-1' then
      enqueue(s, queued, tonumber(ARGV[1]), now)
    end
    redis.call('ZADD', key('horizon'), ARGV[i + 3], id)
  end
end
flush()
return added
