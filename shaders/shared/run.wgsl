// What every shader knows about the run, and how it finds its place in the folded grid.

struct Run {
    // Samples in this run; buffers may be longer and hold stale data behind them.
    samples: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> run: Run;

// The recorder folds a long grid into two dimensions. Some groups may lie behind the end: test before use.
fn linear_workgroup(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
