// Multiplies and adds in registers, eight chains an invocation: the floor of all arithmetic.
struct Factor {
    // 1, which the compiler cannot know.
    one: vec4<f32>,
}

@group(0) @binding(0) var<uniform> factor: Factor;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = (group.y * groups.x + group.x) * 256u + local;
    let x = vec4<f32>(factor.one.x);
    var a = vec4<f32>(f32(local));
    var b = a + 1.0;
    var c = a + 2.0;
    var d = a + 3.0;
    var e = a + 4.0;
    var f = a + 5.0;
    var g = a + 6.0;
    var h = a + 7.0;
    for (var i = 0u; i < 128u; i++) {
        a = fma(a, x, x);
        b = fma(b, x, x);
        c = fma(c, x, x);
        d = fma(d, x, x);
        e = fma(e, x, x);
        f = fma(f, x, x);
        g = fma(g, x, x);
        h = fma(h, x, x);
    }
    if (at < arrayLength(&sums)) {
        sums[at] = a + b + c + d + e + f + g + h;
    }
}
