// Answers of comparisons, by the numbers of src/gpu/binary.rs, from whether x < y and whether x == y.
override OP: u32 = 11u;

fn answer(less: bool, equal: bool, greater: bool) -> u32 {
    switch (OP) {
        case 11u: {
            return u32(equal);
        }
        case 12u: {
            return u32(!equal);
        }
        case 13u: {
            return u32(less);
        }
        case 14u: {
            return u32(less || equal);
        }
        case 15u: {
            return u32(greater);
        }
        default: {
            return u32(greater || equal);
        }
    }
}
