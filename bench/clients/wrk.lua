-- Cycles over many host names if asked to, and tells the figures in one line:
-- RESULT requests elapsed_us bytes p50_us p99_us errors
local hosts = tonumber(os.getenv("BENCH_HOSTS") or "0")
local turn = 0

if hosts > 1 then
  local ready = {}
  function init()
    for i = 1, hosts do
      ready[i] = wrk.format("GET", nil, { Host = "h" .. (i - 1) .. ".test" })
    end
  end
  function request()
    turn = turn % hosts + 1
    -- A stride that visits every name, far from its neighbour.
    return ready[(turn * 617) % hosts + 1]
  end
elseif hosts == 1 then
  wrk.headers["Host"] = "h0.test"
end

function done(summary, latency, _)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.timeout + e.status
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.bytes, latency:percentile(50), latency:percentile(99), errors))
end
