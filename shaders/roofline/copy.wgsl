// Copies a buffer, 16 vectors an invocation: the floor of all that goes through memory.
@group(0) @binding(1) var<storage, read> from_buffer: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> to_buffer: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = (group.y * groups.x + group.x) * 4096u + local;
    for (var i = 0u; i < 4096u; i += 256u) {
        if (first + i < arrayLength(&to_buffer)) {
            to_buffer[first + i] = from_buffer[first + i];
        }
    }
}
