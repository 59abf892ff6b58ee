// Smallest and largest of a float tensor whose kernel does not gather its range: a workgroup strides over the tensor.
#import shared/run
#import shared/range

struct MinMax {
    // Words of one sample; samples lie without gaps.
    words: u32,
}

@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> p: MinMax;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let total = run.samples * p.words;
    let stride = groups.x * groups.y * 256u;
    let workgroup = linear_workgroup(group, groups);
    for (var i = workgroup * 256u + local; i * 4u < total; i += stride) {
        // Behind the last word lies stale data.
        let v = data[i];
        let last = min(total - i * 4u, 4u) - 1u;
        see_bits(v.x);
        see_bits(select(v.x, v.y, last >= 1u));
        see_bits(select(v.x, v.z, last >= 2u));
        see_bits(select(v.x, v.w, last >= 3u));
    }
    publish(local, workgroup);
}
