/* Written by csrc/gen_constants.py, which explains each constant: do not edit. */
#ifndef FP_CRC_CONSTANTS_H
#define FP_CRC_CONSTANTS_H

/* The generator polynomial, bit-reflected, without its leading term. */
#define FP_CRC64NVME_POLY 0x9a6c9329ac4bc9b5u

/* {x^(8n + 63), x^(8n - 1)} mod P for folding forwards by n bytes. */
#define FP_CRC64NVME_FOLD_16 {0xeadc41fd2ba3d420u, 0x21e9761e252621acu}
#define FP_CRC64NVME_FOLD_32 {0xb0bc2e589204f500u, 0xe1e0bb9d45d7a44cu}
#define FP_CRC64NVME_FOLD_64 {0x0c32cdb31e18a84au, 0x62242240ace5045au}
#define FP_CRC64NVME_FOLD_128 {0xa1ca681e733f9c40u, 0x5f852fb61e8d92dcu}
#define FP_CRC64NVME_FOLD_256 {0x37ccd3e14069cabcu, 0xa043808c0f782663u}
#define FP_CRC64NVME_FOLD_512 {0xd0b3aa0ed6d54ae0u, 0xc2409e2537aa5eb1u}

/* x^(8 * 2^k) mod P for k = 0..63, in the CRC's own reflected form. */
#define FP_CRC64NVME_X8_POWERS { \
    0x0080000000000000u, 0x0000800000000000u, 0x0000000080000000u, \
    0x9a6c9329ac4bc9b5u, 0x10f4bb0f129310d6u, 0x70f05dcea2ebd226u, \
    0x311211205672822du, 0x2fc297db0f46c96eu, 0xca4d536fabf7da84u, \
    0xfb4cdc3b379ee6edu, 0xea261148df25140au, 0x59ccb2c07aa6c9b4u, \
    0x20b3674a839af27au, 0x2d8e1986da94d583u, 0x42cdf4c20337635du, \
    0x1d78724bf0f26839u, 0xb96c84e0afb34bd5u, 0x5d2e1fcd2df0a3eau, \
    0xcd9506572332be42u, 0x23bda2427f7d690fu, 0x347a953232374f07u, \
    0x1c2a807ac2a8ceeau, 0x9b92ad0e14fe1460u, 0x2574114889f670b2u, \
    0x4a84a6c45e3bf520u, 0x915bbac21cd1c7ffu, 0xb0290ec579f291f5u, \
    0xcf2548505c624e6eu, 0xb154f27bf08a8207u, 0xce4e92344baf7d35u, \
    0x51da8d7e057c5eb3u, 0x9fb10823f5be15dfu, 0x73b825b3ff1f71cfu, \
    0x5db436c5406ebb74u, 0xfa7ed8f3ec3f2bcau, 0xc4d58efdc61b9ef6u, \
    0xa7e39e61e855bd45u, 0x97ad46f9dd1bf2f1u, 0x1a0abb01f853ee6bu, \
    0x3f0827c3348f8215u, 0x4eb68c4506134607u, 0x4a46f6de5df34e0au, \
    0x2d855d6a1c57a8ddu, 0x8688da58e1115812u, 0x5232f417fc7c7300u, \
    0xa4080fb2e767d8dau, 0xd515a7e17693e562u, 0x1181f7c862e94226u, \
    0x9e23cd058204ca91u, 0x9b8992c57a0aed82u, 0xb2c0afb84609b6ffu, \
    0x2f7160553a5ea018u, 0x3cd378b5c99f2722u, 0x814054ad61a3b058u, \
    0xbf766189fce806d8u, 0x85a5e898ac49f86fu, 0x34830d11bc84f346u, \
    0x9644d95b173c8c1cu, 0x150401ac9ac759b1u, 0xebe1f7f46fb00ebau, \
    0x8ee4ce0c2e2bd662u, 0x4000000000000000u, 0x2000000000000000u, \
    0x0800000000000000u}

/* x^127 mod P, and the two factors of the Barrett reduction. */
#define FP_CRC64NVME_X127 0x21e9761e252621acu
#define FP_CRC64NVME_BARRETT_MU 0x27ecfa329aef9f77u
#define FP_CRC64NVME_BARRETT_P 0x34d926535897936bu

/* The generator polynomial, bit-reflected, without its leading term. */
#define FP_CRC32C_POLY 0x82f63b78u

/* {x^(8n + 63), x^(8n - 1)} mod P for folding forwards by n bytes. */
#define FP_CRC32C_FOLD_16 {0x3743f7bd00000000u, 0x3171d43000000000u}
#define FP_CRC32C_FOLD_32 {0x33ccbbbc00000000u, 0xa2158b3400000000u}
#define FP_CRC32C_FOLD_64 {0x1c19243b00000000u, 0x75bba45b00000000u}
#define FP_CRC32C_FOLD_128 {0x6577b24500000000u, 0x7417153f00000000u}
#define FP_CRC32C_FOLD_256 {0xe9a5d8be00000000u, 0x1426a81500000000u}
#define FP_CRC32C_FOLD_512 {0x75bda45400000000u, 0xe986c14800000000u}

/* x^(8 * 2^k) mod P for k = 0..63, in the CRC's own reflected form. */
#define FP_CRC32C_X8_POWERS { \
    0x00800000u, 0x00008000u, 0x82f63b78u, 0x6ea2d55cu, \
    0x18b8ea18u, 0x510ac59au, 0xb82be955u, 0xb8fdb1e7u, \
    0x88e56f72u, 0x74c360a4u, 0xe4172b16u, 0x0d65762au, \
    0x35d73a62u, 0x28461564u, 0xbf455269u, 0xe2ea32dcu, \
    0xfe7740e6u, 0xf946610bu, 0x3c204f8fu, 0x538586e3u, \
    0x59726915u, 0x734d5309u, 0xbc1ac763u, 0x7d0722ccu, \
    0xd289cabeu, 0xe94ca9bcu, 0x05b74f3fu, 0xa51e1f42u, \
    0x40000000u, 0x20000000u, 0x08000000u, 0x00800000u, \
    0x00008000u, 0x82f63b78u, 0x6ea2d55cu, 0x18b8ea18u, \
    0x510ac59au, 0xb82be955u, 0xb8fdb1e7u, 0x88e56f72u, \
    0x74c360a4u, 0xe4172b16u, 0x0d65762au, 0x35d73a62u, \
    0x28461564u, 0xbf455269u, 0xe2ea32dcu, 0xfe7740e6u, \
    0xf946610bu, 0x3c204f8fu, 0x538586e3u, 0x59726915u, \
    0x734d5309u, 0xbc1ac763u, 0x7d0722ccu, 0xd289cabeu, \
    0xe94ca9bcu, 0x05b74f3fu, 0xa51e1f42u, 0x40000000u, \
    0x20000000u, 0x08000000u, 0x00800000u, 0x00008000u}

/* {length in bytes, CRC-64/NVME, CRC-32C} of the self-test's data. */
#define FP_CRC_KNOWN_ANSWER_MAX_BYTES 131072
#define FP_CRC_KNOWN_ANSWERS { \
    {0, 0x0000000000000000u, 0x00000000u}, \
    {1, 0x338558cc867b7f51u, 0x2fddd530u}, \
    {7, 0x8708a9a75ce8d69cu, 0x005ed6fcu}, \
    {9, 0x9697bf545e265c83u, 0x5b9502b9u}, \
    {15, 0xe4514a50269242e7u, 0x422accc4u}, \
    {16, 0xc2a0f7f1c7213211u, 0x3ccf0c08u}, \
    {17, 0x883e402b086e8343u, 0x4608eae9u}, \
    {31, 0x40bf0b90b75935d4u, 0xa502d6d0u}, \
    {32, 0xc8ffbbe8689dfd48u, 0x1e9e7221u}, \
    {47, 0x06dd59cf4e6d0502u, 0xa5daa4feu}, \
    {63, 0x06d27efac134694fu, 0x2ce7f643u}, \
    {64, 0x61b925ce1be8a391u, 0xdf916928u}, \
    {79, 0x69fa7193da932ac6u, 0x5cad5affu}, \
    {127, 0xcf0701017063e013u, 0x30243c9au}, \
    {128, 0xe5245c56ae3da64du, 0x6c9d345du}, \
    {129, 0x66d4dc1f0f0c4ca6u, 0x60f95f39u}, \
    {143, 0x606a9cb0ddd06414u, 0x3dbca066u}, \
    {191, 0xe7525169bf316177u, 0xef08b421u}, \
    {255, 0x0906b43ac858a360u, 0xeaaad7bbu}, \
    {256, 0x2412a884c4580089u, 0x38703dc8u}, \
    {300, 0x0d0397dc338567c1u, 0xaa659749u}, \
    {511, 0xb85cb8a4ebf7b6f1u, 0xdbb84e6cu}, \
    {512, 0xdcc4c5cdd1c3cc05u, 0xa4dad9c7u}, \
    {513, 0xffdcc4c5cdd1c3ccu, 0xdd128ceau}, \
    {591, 0x2c836530e3c5c764u, 0x7486c171u}, \
    {767, 0xc9b10aaa95f84508u, 0x3dd78b7au}, \
    {768, 0x9825a8d9935c9bb7u, 0x016e86e4u}, \
    {1023, 0x9a3d68f4b929d4c6u, 0x0c03a26bu}, \
    {1024, 0x26e82114ac985ed8u, 0x9add211bu}, \
    {1111, 0xb8793ba7099b4ce9u, 0x98e62774u}, \
    {1536, 0xfe95e02996ccbe90u, 0xa3279413u}, \
    {2047, 0xf5fd70d9018108e6u, 0x01dcb558u}, \
    {20543, 0x5cf5be7254a06a4du, 0xafa510f5u}, \
    {20544, 0x9ad95e21ed2cecbeu, 0x5ce1fcc0u}, \
    {21999, 0xb63f94265d6f3414u, 0x7e33c2f7u}, \
    {34367, 0xbd67fee278efea2eu, 0x72dd47e2u}, \
    {34368, 0xb431f8bfdf8e7a5bu, 0xa84b6ea2u}, \
    {48191, 0x25efad411fcfceefu, 0xc4eb31d5u}, \
    {48192, 0x817fc6432272d124u, 0xaee131e2u}, \
    {130623, 0x4a16280e6c524206u, 0x31aaae85u}, \
    {130624, 0x371c2a7dc575735eu, 0x5142cd64u}, \
    {131072, 0xf79db44dcd11a55du, 0x37ebcfacu}}

#endif
