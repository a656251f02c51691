// Written by script/update-releases from what upstream publishes: change that, not this.

type Checksums = Readonly<Record<string, Readonly<Partial<Record<"amd64" | "arm64", string>>>>>;

/** SHA-256 of kind for Linux, by version. */
export const kindChecksums: Checksums = {
  "v0.33.0": {
    amd64: "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
    arm64: "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
  },
  "v0.32.0": {
    amd64: "50030de23cf40a18505f20426f6a8506bedf13c6e509244bd1fa9463721b0f54",
    arm64: "b92cd615e97585de8ddade28ed5cd7feb4248d717c233eea5b03c37298900f5d",
  },
  "v0.31.0": {
    amd64: "eb244cbafcc157dff60cf68693c14c9a75c4e6e6fedaf9cd71c58117cb93e3fa",
    arm64: "8e1014e87c34901cc422a1445866835d1e666f2a61301c27e722bdeab5a1f7e4",
  },
  "v0.30.0": {
    amd64: "517ab7fc89ddeed5fa65abf71530d90648d9638ef0c4cde22c2c11f8097b8889",
    arm64: "7ea2de9d2d190022ed4a8a4e3ac0636c8a455e460b9a13ccf19f15d07f4f00eb",
  },
  "v0.29.0": {
    amd64: "c72eda46430f065fb45c5f70e7c957cc9209402ef309294821978677c8fb3284",
    arm64: "03d45095dbd9cc1689f179a3e5e5da24b77c2d1b257d7645abf1b4174bebcf2a",
  },
  "v0.27.0": {
    amd64: "a6875aaea358acf0ac07786b1a6755d08fd640f4c79b7a2e46681cc13f49a04b",
    arm64: "5e4507a41c69679562610b1be82ba4f80693a7826f4e9c6e39236169a3e4f9d0",
  },
  "v0.26.0": {
    amd64: "d445b44c28297bc23fd67e51cc24bb294ae7b977712be2d4d312883d0835829b",
    arm64: "53fffdc37bd7149ccea440b1bdde2464f517d2c462dc8913ad37e7939e7f422d",
  },
  "v0.25.0": {
    amd64: "b22ff7e5c02b8011e82cc3223d069d178b9e1543f1deb21e936d11764780a3d8",
    arm64: "06e544e3f12ea54de5962ceaecd97513a25dbab4168a44f03f01833349afdda3",
  },
  "v0.24.0": {
    amd64: "b89aada5a39d620da3fcd16435b7f28d858927dd53f92cbac77686b0588b600d",
    arm64: "2968808d916e12d0a25c56d07c9a1c987163f972513fa8a94a2125a69f9c50eb",
  },
  "v0.23.0": {
    amd64: "1d86e3069ffbe3da9f1a918618aecbc778e00c75f838882d0dfa2d363bc4a68c",
    arm64: "a416d6c311882337f0e56910e4a2e1f8c106ec70c22cbf0ac1dd8f33c1e284fe",
  },
  "v0.22.0": {
    amd64: "e4264d7ee07ca642fe52818d7c0ed188b193c214889dd055c929dbcb968d1f62",
    arm64: "4431805115da3b54290e3e976fe2db9a7e703f116177aace6735dfa1d8a4f3fe",
  },
  "v0.21.0": {
    amd64: "7bf22d258142eaa0e53899ded3ad06bae1b3e8ae5425a5e4dc5c8f9f263094a7",
    arm64: "d56d98fe8a22b5a9a12e35d5ff7be254ae419b0cfe93b6241d0d14ece8f5adc8",
  },
  "v0.20.0": {
    amd64: "513a7213d6d3332dd9ef27c24dab35e5ef10a04fa27274fe1c14d8a246493ded",
    arm64: "639f7808443559aa30c3642d9913b1615d611a071e34f122340afeda97b8f422",
  },
};

/** SHA-256 of kubectl for Linux, by version. */
export const kubectlChecksums: Checksums = {
  "v1.37.1": {
    amd64: "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
    arm64: "ff749f4b78d9c4f1ec87307df9b50119ed819e2094aa9810cb9acffc3286c8c7",
  },
  "v1.37.0": {
    amd64: "6129359f4e1f3848a5572ccb0b26cf28b8ca08cef38c95a765b2f64a2c961a2f",
    arm64: "922df28df248cc00a9e025f947704f1d1482de64ece54cfe57e61f19eaf1eef3",
  },
  "v1.36.4": {
    amd64: "8b8f088da2dab964f853b38464033b1be15ede2839eca751482357c45abdd05a",
    arm64: "0ecf44450ee6063bf19dd166a103ee6df4a9034455c2abce626e6eea657d73fb",
  },
  "v1.36.3": {
    amd64: "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336",
    arm64: "3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62",
  },
  "v1.36.2": {
    amd64: "1e9045ec32bea85da43de85f0065358529ea7c7a152eca78154fba5b58c27d82",
    arm64: "c957eb8c4bea27a3bb35b269edd9082e27f027f7b76b20b5bf4afebc726c6d3e",
  },
  "v1.36.1": {
    amd64: "629d3f410e09bf49b64ae7079f7f0bda1191efed311f7d37fdbab0ad5b0ec2b7",
    arm64: "59f7ee8e477fae658447607dc3c8790ac17a1b016c01c622c12070e969e2d4e7",
  },
  "v1.36.0": {
    amd64: "123d8c8844f46b1244c547fffb3c17180c0c26dac9890589fe7e67763298748e",
    arm64: "9f9d9c44a7b5264515ac9da5991584e2395bd50662e651132337e7b4d0c56f8f",
  },
  "v1.35.8": {
    amd64: "874d5e72dbb819f43cff16bcd1e4f8bac5b7f2361fe1e55049b0a6c676fb0cbf",
    arm64: "cc749967b62f4422260bc9c0aa7a7c55f45175ae38cb8d95767b5d2b7e04c1fd",
  },
  "v1.35.7": {
    amd64: "12e97f9d23a9f6cbb87b89becd6bd291e1a858a3379a4e11e2c822c4c1530052",
    arm64: "5103d45b8881434d417694057b8ccb5ae79fd310a5c5c13e403c5e62e15909be",
  },
  "v1.35.6": {
    amd64: "5d11e2ba01ea68ffd053f56e27738e2b4330013ee67f7e46c6da6c585d3c9926",
    arm64: "c0f97f31c9ddc22d4951d543a1a7125a9af4b31e895ad4aa99899c4ba2a6ff0b",
  },
  "v1.35.5": {
    amd64: "90f75ea6ecc9ea5633262e1c0b83a40560003b30fc94a04cb099404fcef0c224",
    arm64: "ac69e06fd6860d69786692f5af1c3a1208ed54f8366a4d97ab15c172e99765ee",
  },
  "v1.35.4": {
    amd64: "b529430df69a688fd61b64ad2299edb5fd71cb58be2a4779dba624c7d3510efd",
    arm64: "6a5a4cc4e396d7626a7a693a3044b51c75520f81db30fe6816c2554e53be336f",
  },
  "v1.35.3": {
    amd64: "fd31c7d7129260e608f6faf92d5984c3267ad0b5ead3bced2fe125686e286ad6",
    arm64: "6f0cd088a82dde5d5807122056069e2fac4ed447cc518efc055547ae46525f14",
  },
  "v1.35.2": {
    amd64: "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277",
    arm64: "cd859449f54ad2cb05b491c490c13bb836cdd0886ae013c0aed3dd67ff747467",
  },
  "v1.35.1": {
    amd64: "36e2f4ac66259232341dd7866952d64a958846470f6a9a6a813b9117bd965207",
    arm64: "706256e21a4e9192ee62d1a007ac0bfcff2b0b26e92cc7baad487a6a5d08ff82",
  },
  "v1.35.0": {
    amd64: "a2e984a18a0c063279d692533031c1eff93a262afcc0afdc517375432d060989",
    arm64: "58f82f9fe796c375c5c4b8439850b0f3f4d401a52434052f2df46035a8789e25",
  },
  "v1.34.11": {
    amd64: "8efbb9435132a190920eb65a47a8c1ecf755ad85ab57a600c9bedbab460bb7a8",
    arm64: "5b045a4712674c88a56fd98eef4285689738b7fbe8735e1b9ee3509521af5cb4",
  },
  "v1.34.10": {
    amd64: "95bd70842bd11a524d24acd5b68726899e3488e153e45e2b4ae846545beda050",
    arm64: "52d3aeefea32fdfa3671ccd636be5da463ddfd0a2fc09d7bcbaedcff4c76cad5",
  },
  "v1.34.9": {
    amd64: "73bb6f5063caadae1e73a39de018d8ad21755984bea35358484db817859e7634",
    arm64: "63317b16a5264af47169b54dafd1878fed29031ebc8367960dd3b88484334e04",
  },
  "v1.34.8": {
    amd64: "f6249132865c13abe3c9dd5038f5da65849cb86eee1608c001831504e481aa8c",
    arm64: "4c9fe1f717738950c638c38056130a8db5075e6413ae36d8687221a240cdf88b",
  },
  "v1.34.6": {
    amd64: "3166155b17198c0af34ff5a360bd4d9d58db98bafadc6f3c2a57ae560563cd6b",
    arm64: "a49a439f83f504e6bc051f516a8baf8d2220d74110f7f9bcaf25feac69e368d1",
  },
  "v1.34.5": {
    amd64: "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
    arm64: "2d433b53b99ea532f877df6fa5044286e3950d4933967ac3d99262760bc649fd",
  },
  "v1.34.4": {
    amd64: "d50c359d95e0841eaad08ddc27c7be37cba8fdccfba5c8e2ded65e121ff112db",
    arm64: "5b982c0644ab1e27780246b9085a5886651b4a7ed86243acbb2bacc1bea01dda",
  },
  "v1.34.3": {
    amd64: "ab60ca5f0fd60c1eb81b52909e67060e3ba0bd27e55a8ac147cbc2172ff14212",
    arm64: "46913a7aa0327f6cc2e1cc2775d53c4a2af5e52f7fd8dacbfbfd098e757f19e9",
  },
  "v1.34.2": {
    amd64: "9591f3d75e1581f3f7392e6ad119aab2f28ae7d6c6e083dc5d22469667f27253",
    arm64: "95df604e914941f3172a93fa8feeb1a1a50f4011dfbe0c01e01b660afc8f9b85",
  },
  "v1.34.1": {
    amd64: "7721f265e18709862655affba5343e85e1980639395d5754473dafaadcaa69e3",
    arm64: "420e6110e3ba7ee5a3927b5af868d18df17aae36b720529ffa4e9e945aa95450",
  },
  "v1.34.0": {
    amd64: "cfda68cba5848bc3b6c6135ae2f20ba2c78de20059f68789c090166d6abc3e2c",
    arm64: "00b182d103a8a73da7a4d11e7526d0543dcf352f06cc63a1fde25ce9243f49a0",
  },
  "v1.33.13": {
    amd64: "316d712726d857c20744c57cb36aa47cfc79bc0af7e82cebf3780244b654c073",
    arm64: "9fe8aadd5aab9421978c7ac95de6fad304a3c4c0ce9dbf4127579779e0699080",
  },
  "v1.33.10": {
    amd64: "f156acb753ee4366789ab7a663916eb580e7ee1b9e449bc9b052181db524e3f5",
    arm64: "e9494229893ccddc81065275c0e5f21167518ab939f0e95aecb649fb4b41c112",
  },
  "v1.33.9": {
    amd64: "9e33e3234c0842cd44a12c13e334b4ce930145ea84b855ce7cc0a7b6bc670c22",
    arm64: "af4dc943a6f447ecb070340efe63c7f8ee2808e6c0bc42126efe7cde0cc1e69b",
  },
  "v1.33.8": {
    amd64: "7f9c3faab7c9f9cc3f318d49eb88efc60eb3b3a7ce9eee5feb39b1280e108a29",
    arm64: "76e284669f1f6343bd9fe2a011757809c8c01cf51da9f85ee6ef4eb93c8393a8",
  },
  "v1.33.7": {
    amd64: "471d94e208a89be62eb776700fc8206cbef11116a8de2dc06fc0086b0015375b",
    arm64: "fa7ee98fdb6fba92ae05b5e0cde0abd5972b2d9a4a084f7052a1fd0dce6bc1de",
  },
  "v1.33.6": {
    amd64: "d25d9b63335c038333bed785e9c6c4b0e41d791a09cac5f3e8df9862c684afbe",
    arm64: "3ab32d945a67a6000ba332bf16382fc3646271da6b7d751608b320819e5b8f38",
  },
  "v1.33.5": {
    amd64: "6a12d6c39e4a611a3687ee24d8c733961bb4bae1ae975f5204400c0a6930c6fc",
    arm64: "6db7c5d846c3b3ddfd39f3137a93fe96af3938860eefdbf2429805ee1656e381",
  },
  "v1.33.4": {
    amd64: "c2ba72c115d524b72aaee9aab8df8b876e1596889d2f3f27d68405262ce86ca1",
    arm64: "76cd7a2aa59571519b68c3943521404cbce55dafb7d8866f8d0ea2995b396eef",
  },
  "v1.33.3": {
    amd64: "2fcf65c64f352742dc253a25a7c95617c2aba79843d1b74e585c69fe4884afb0",
    arm64: "3d514dbae5dc8c09f773df0ef0f5d449dfad05b3aca5c96b13565f886df345fd",
  },
  "v1.33.2": {
    amd64: "33d0cdec6967817468f0a4a90f537dfef394dcf815d91966ca651cc118393eea",
    arm64: "54dc02c8365596eaa2b576fae4e3ac521db9130e26912385e1e431d156f8344d",
  },
  "v1.33.1": {
    amd64: "5de4e9f2266738fd112b721265a0c1cd7f4e5208b670f811861f699474a100a3",
    arm64: "d595d1a26b7444e0beb122e25750ee4524e74414bbde070b672b423139295ce6",
  },
  "v1.33.0": {
    amd64: "9efe8d3facb23e1618cba36fb1c4e15ac9dc3ed5a2c2e18109e4a66b2bac12dc",
    arm64: "48541d119455ac5bcc5043275ccda792371e0b112483aa0b29378439cf6322b9",
  },
  "v1.32.13": {
    amd64: "db2ae479a63f3665d7f704ab18c0d4d4050144237980763221835b7305703c4c",
    arm64: "b1f87f196633a89208546d79bfa4e2470bda70e7bf42c4d3adb008ec208da9d1",
  },
  "v1.32.12": {
    amd64: "adac5674d19f47ed3f0620bfeb1932d3d5f4557d49f311f6f65b6b75e0721ee1",
    arm64: "86fa465134c54de6202d89d41eb89504810236cc968e1402a31f3674f66ffdbd",
  },
  "v1.32.11": {
    amd64: "48581d0e808bd8b7d3c3fc014e86b170e25a987df04c8a879b982b28a5180815",
    arm64: "b1c91c106ec20e61c5dff869e9a39e6af4fb96572bddaac9cce307dfa3ed2348",
  },
  "v1.32.10": {
    amd64: "6e14ef4e509e9f3d1dfc2815643f832f853d2d9f6622d4a0f83f77c7e4014b57",
    arm64: "1f4229526e16bf9f5b854fbf3bdb9c7040404a29c1d1e4193258b8a73de06e92",
  },
  "v1.32.9": {
    amd64: "509ae171bac7ad3b98cc49f5594d6bc84900cf6860f155968d1059fde3be5286",
    arm64: "d5f6b45ad81b7d199187a28589e65f83406e0610b036491a9abaa49bfd04a708",
  },
  "v1.32.8": {
    amd64: "0fc709a8262be523293a18965771fedfba7466eda7ab4337feaa5c028aa46b1b",
    arm64: "8a7371e54187249389a9aa222b150d61a4a745c121ab24dbcbb56d1ac2d0b912",
  },
  "v1.32.7": {
    amd64: "b8f24d467a8963354b028796a85904824d636132bef00988394cadacffe959c9",
    arm64: "232f6e517633fbb4696c9eb7a0431ee14b3fccbb47360b4843d451e0d8c9a3a2",
  },
  "v1.32.6": {
    amd64: "0e31ebf882578b50e50fe6c43e3a0e3db61f6a41c9cded46485bc74d03d576eb",
    arm64: "f7bac84f8c35f55fb2c6ad167beb59eba93de5924b50bbaa482caa14ff480eec",
  },
  "v1.32.5": {
    amd64: "aaa7e6ff3bd28c262f2d95c8c967597e097b092e9b79bcb37de699e7488e3e7b",
    arm64: "9edee84103e63c40a37cd15bd11e04e7835f65cb3ff5a50972058ffc343b4d96",
  },
  "v1.32.4": {
    amd64: "10d739e9af8a59c9e7a730a2445916e04bc9cbb44bc79d22ce460cd329fa076c",
    arm64: "c6f96d0468d6976224f5f0d81b65e1a63b47195022646be83e49d38389d572c2",
  },
  "v1.32.3": {
    amd64: "ab209d0c5134b61486a0486585604a616a5bb2fc07df46d304b3c95817b2d79f",
    arm64: "6c2c91e760efbf3fa111a5f0b99ba8975fb1c58bb3974eca88b6134bcf3717e2",
  },
  "v1.32.2": {
    amd64: "4f6a959dcc5b702135f8354cc7109b542a2933c46b808b248a214c1f69f817ea",
    arm64: "7381bea99c83c264100f324c2ca6e7e13738a73b8928477ac805991440a065cd",
  },
  "v1.32.1": {
    amd64: "e16c80f1a9f94db31063477eb9e61a2e24c1a4eee09ba776b029048f5369db0c",
    arm64: "98206fd83a4fd17f013f8c61c33d0ae8ec3a7c53ec59ef3d6a0a9400862dc5b2",
  },
  "v1.32.0": {
    amd64: "646d58f6d98ee670a71d9cdffbf6625aeea2849d567f214bc43a35f8ccb7bf70",
    arm64: "ba4004f98f3d3a7b7d2954ff0a424caa2c2b06b78c17b1dccf2acc76a311a896",
  },
  "v1.31.14": {
    amd64: "8791ec7c8966b61420d55103a5fb948de9f0ca3d7306d789734975ad9704bdb0",
    arm64: "3abb0c2d7121e1833831f56fd857a93de386e76d14b64baf86220d0afe495209",
  },
  "v1.31.13": {
    amd64: "ce427a4df97b044bf6beaf38be6b3aaafb1b5c782c406958b3c71ebb25a48fe3",
  },
  "v1.31.12": {
    amd64: "cf609add577be9c898c52027e800a008331d6b2a202ecc61413e847f7a12ccd0",
    arm64: "1c2cc071a6522682f645c5987c0601be92c14848c5123473904e5ede0721039b",
  },
  "v1.31.11": {
    amd64: "449674ed53789d63c94c147c689be986f4c135848ec91e1a64796ed896934b45",
    arm64: "ff740a89ad12cd12c572fd031e48ef36ff9683e9c182118197e4ce749e7b7ce6",
  },
  "v1.31.10": {
    amd64: "f7e806b676bea3b4995e9c236445a5f24ae61ed3d5245c39d7b816d209b06a78",
    arm64: "73dcb8c9031d9533c0b8b1f12ffaddf0a5e8c559fbce3397693399212ec75ed9",
  },
  "v1.31.9": {
    amd64: "720d31a15368ad56993c127a7d4fa2688a8520029c2e6be86b1a877ad6f92624",
    arm64: "1e6de599df408824f13602d73333c08c3528cfa5d6c8c98c633868a966882129",
  },
  "v1.31.8": {
    amd64: "be0aa44a50a9aada4e9402e361ffb0d5bb1fd4f6950751399fcaf3b8b936a746",
    arm64: "bd76445943b22d976bdbd1d0709e4bcb5f0081cc02c10139f4b3e5e209dc3019",
  },
  "v1.31.7": {
    amd64: "80a3c83f00241cd402bc8688464e5e3eedd52a461ee41d882f19cf04ad6d0379",
    arm64: "d95454093057af230f09e7b73ee9ae0714cf9e5197fbcb7b902881ca47b7e249",
  },
  "v1.31.6": {
    amd64: "c46b2f5b0027e919299d1eca073ebf13a4c5c0528dd854fc71a5b93396c9fa9d",
    arm64: "fc40a8bbdba41f022aced2dec729a1b9e937ad99872b430b6c2489f1f36a61f5",
  },
  "v1.31.5": {
    amd64: "fbecbfd375b3686002c2e81d51c390172f5ffba3d6b47920d55342cb03f557af",
    arm64: "697c8b4239f9e53cba46296e114bcc02c726b5c7a45e1c464804aad56e5c7a86",
  },
  "v1.31.4": {
    amd64: "298e19e9c6c17199011404278f0ff8168a7eca4217edad9097af577023a5620f",
    arm64: "b97e93c20e3be4b8c8fa1235a41b4d77d4f2022ed3d899230dbbbbd43d26f872",
  },
  "v1.31.3": {
    amd64: "981f6b49577068bc174275184d8ee7105d8e54f40733792c519cd85023984c0f",
    arm64: "a3953ad2b32eca0b429249a5fbdf4f8ef7d57223c45cc0401fd80fd12c7b9071",
  },
  "v1.31.2": {
    amd64: "399e9d1995da80b64d2ef3606c1a239018660d8b35209fba3f7b0bc11c631c68",
    arm64: "bb9fd6e5a92c2e2378954a2f1a8b4ccb2e8ba5a3635f870c3f306a53b359f971",
  },
  "v1.31.1": {
    amd64: "57b514a7facce4ee62c93b8dc21fda8cf62ef3fed22e44ffc9d167eab843b2ae",
    arm64: "3af2451191e27ecd4ac46bb7f945f76b71e934d54604ca3ffc7fe6f5dd123edb",
  },
  "v1.31.0": {
    amd64: "7c27adc64a84d1c0cc3dcf7bf4b6e916cc00f3f576a2dbac51b318d926032437",
    arm64: "f42832db7d77897514639c6df38214a6d8ae1262ee34943364ec1ffaee6c009c",
  },
  "v1.30.14": {
    amd64: "7ccac981ece0098284d8961973295f5124d78eab7b89ba5023f35591baa16271",
    arm64: "a32e46ae15fe41292dc6a7cd76beba7104282a5a3fa9e3686319000a537f4f5d",
  },
  "v1.30.13": {
    amd64: "b92bd89b27386b671841d5970b926b645c2ae44e5ca0663cff0f1c836a1530ee",
    arm64: "afed1753b98ab30812203cb469e013082b25502c864f2889e8a0474aac497064",
  },
  "v1.30.12": {
    amd64: "261a3c4eb12e09207b9e08f0b43d547220569317ed8d7a22638572100ace5b80",
  },
  "v1.30.11": {
    amd64: "228a8b2679f84de9192a1ac5ad527c9ab73b0f76c452ed74f11da812bbcfaa42",
    arm64: "11f86b29416f344b090c2581df4bc8a98ed7cc14a2bb28e46a6d4aa708af19f4",
  },
  "v1.30.10": {
    amd64: "bc74dbeefd4b9d53f03016f6778f3ffc9a72ef4ca7b7c80fd5dc1a41d52dcab7",
  },
  "v1.30.9": {
    amd64: "d77041f285d9237c4aa451370c3ec6e5c042007dbb55c894f0a179b1d149bf32",
    arm64: "bab82f333f6347507a4c725bc726fefd3d862eb64a36a4fb8b99bfe9e10813d0",
  },
  "v1.30.8": {
    amd64: "7f39bdcf768ce4b8c1428894c70c49c8b4d2eee52f3606eb02f5f7d10f66d692",
    arm64: "e51d6a76fade0871a9143b64dc62a5ff44f369aa6cb4b04967d93798bf39d15b",
  },
  "v1.30.7": {
    amd64: "3950ec7b81b9aa5a3856dd6155e42e1ad12a2fa8b050502f5a9652050f94a8ee",
    arm64: "5e856defeac209ff82dd473ce46f91a3118df82b863de0d2ed59bdf3558cffca",
  },
  "v1.30.6": {
    amd64: "7a3adf80ca74b1b2afdfc7f4570f0005ca03c2812367ffb6ee2f731d66e45e61",
    arm64: "0b448581f05f46d80219d1a73bd1966de09066c313f64e67e7b75b35e07191cd",
  },
  "v1.30.5": {
    amd64: "b8aa921a580c3d8ba473236815de5ce5173d6fbfa2ccff453fa5eef46cc5ee7a",
    arm64: "efc594857f9255fc33bcda9409b8862a3b47ce5f4e09d51c3427b85dd769b9b9",
  },
  "v1.30.4": {
    amd64: "2ffd023712bbc1a9390dbd8c0c15201c165a69d394787ef03eda3eccb4b9ac06",
    arm64: "1d8b4e6443c7df8e92a065d88d146142a202fea5ec694135b83d9668529ea3b1",
  },
  "v1.30.3": {
    amd64: "abd83816bd236b266c3643e6c852b446f068fe260f3296af1a25b550854ec7e5",
    arm64: "c6f9568f930b16101089f1036677bb15a3185e9ed9b8dbce2f518fb5a52b6787",
  },
  "v1.30.2": {
    amd64: "c6e9c45ce3f82c90663e3c30db3b27c167e8b19d83ed4048b61c1013f6a7c66e",
    arm64: "56becf07105fbacd2b70f87f3f696cfbed226cb48d6d89ed7f65ba4acae3f2f8",
  },
  "v1.30.1": {
    amd64: "5b86f0b06e1a5ba6f8f00e2b01e8ed39407729c4990aeda961f83a586f975e8a",
    arm64: "d90446719b815e3abfe7b2c46ddf8b3fda17599f03ab370d6e47b1580c0e869e",
  },
  "v1.30.0": {
    amd64: "7c3807c0f5c1b30110a2ff1e55da1d112a6d0096201f1beb81b269f582b5d1c5",
    arm64: "669af0cf520757298ea60a8b6eb6b719ba443a9c7d35f36d3fb2fd7513e8c7d2",
  },
};

/** The node images that each minor release of kind was published with. */
export const nodeImages: readonly {
  readonly kind: string;
  readonly kubernetes: string;
  readonly image: string;
}[] = [
  {
    kind: "v0.33",
    kubernetes: "v1.37.0",
    image: "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
  },
  {
    kind: "v0.33",
    kubernetes: "v1.36.4",
    image: "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed",
  },
  {
    kind: "v0.33",
    kubernetes: "v1.35.8",
    image: "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0",
  },
  {
    kind: "v0.33",
    kubernetes: "v1.34.11",
    image: "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d",
  },
  {
    kind: "v0.32",
    kubernetes: "v1.36.1",
    image: "kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5",
  },
  {
    kind: "v0.32",
    kubernetes: "v1.35.5",
    image: "kindest/node:v1.35.5@sha256:ce977ae6d65918d0b58a5f8b5e940429c2ce42fa3a5619ec2bbc60b949c0ac95",
  },
  {
    kind: "v0.32",
    kubernetes: "v1.34.8",
    image: "kindest/node:v1.34.8@sha256:02722c2dedddcfc00febf5d27fbeb9b7b2c14294c82109ff4a85d89ac9ba3256",
  },
  {
    kind: "v0.32",
    kubernetes: "v1.33.12",
    image: "kindest/node:v1.33.12@sha256:3f5c8443c620245e4d355cfe09e96a91ead32ceaa569d3f1ca9edf0cb2fe2ff4",
  },
  {
    kind: "v0.31",
    kubernetes: "v1.35.0",
    image: "kindest/node:v1.35.0@sha256:452d707d4862f52530247495d180205e029056831160e22870e37e3f6c1ac31f",
  },
  {
    kind: "v0.31",
    kubernetes: "v1.34.3",
    image: "kindest/node:v1.34.3@sha256:08497ee19eace7b4b5348db5c6a1591d7752b164530a36f855cb0f2bdcbadd48",
  },
  {
    kind: "v0.31",
    kubernetes: "v1.33.7",
    image: "kindest/node:v1.33.7@sha256:d26ef333bdb2cbe9862a0f7c3803ecc7b4303d8cea8e814b481b09949d353040",
  },
  {
    kind: "v0.31",
    kubernetes: "v1.32.11",
    image: "kindest/node:v1.32.11@sha256:5fc52d52a7b9574015299724bd68f183702956aa4a2116ae75a63cb574b35af8",
  },
  {
    kind: "v0.31",
    kubernetes: "v1.31.14",
    image: "kindest/node:v1.31.14@sha256:6f86cf509dbb42767b6e79debc3f2c32e4ee01386f0489b3b2be24b0a55aac2b",
  },
  {
    kind: "v0.30",
    kubernetes: "v1.34.0",
    image: "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a",
  },
  {
    kind: "v0.30",
    kubernetes: "v1.33.4",
    image: "kindest/node:v1.33.4@sha256:25a6018e48dfcaee478f4a59af81157a437f15e6e140bf103f85a2e7cd0cbbf2",
  },
  {
    kind: "v0.30",
    kubernetes: "v1.32.8",
    image: "kindest/node:v1.32.8@sha256:abd489f042d2b644e2d033f5c2d900bc707798d075e8186cb65e3f1367a9d5a1",
  },
  {
    kind: "v0.30",
    kubernetes: "v1.31.12",
    image: "kindest/node:v1.31.12@sha256:0f5cc49c5e73c0c2bb6e2df56e7df189240d83cf94edfa30946482eb08ec57d2",
  },
  {
    kind: "v0.29",
    kubernetes: "v1.33.1",
    image: "kindest/node:v1.33.1@sha256:050072256b9a903bd914c0b2866828150cb229cea0efe5892e2b644d5dd3b34f",
  },
  {
    kind: "v0.29",
    kubernetes: "v1.32.5",
    image: "kindest/node:v1.32.5@sha256:e3b2327e3a5ab8c76f5ece68936e4cafaa82edf58486b769727ab0b3b97a5b0d",
  },
  {
    kind: "v0.29",
    kubernetes: "v1.31.9",
    image: "kindest/node:v1.31.9@sha256:b94a3a6c06198d17f59cca8c6f486236fa05e2fb359cbd75dabbfc348a10b211",
  },
  {
    kind: "v0.29",
    kubernetes: "v1.30.13",
    image: "kindest/node:v1.30.13@sha256:397209b3d947d154f6641f2d0ce8d473732bd91c87d9575ade99049aa33cd648",
  },
  {
    kind: "v0.28",
    kubernetes: "v1.33.1",
    image: "kindest/node:v1.33.1@sha256:8d866994839cd096b3590681c55a6fa4a071fdaf33be7b9660e5697d2ed13002",
  },
  {
    kind: "v0.27",
    kubernetes: "v1.33.0",
    image: "kindest/node:v1.33.0@sha256:02f73d6ae3f11ad5d543f16736a2cb2a63a300ad60e81dac22099b0b04784a4e",
  },
  {
    kind: "v0.27",
    kubernetes: "v1.32.2",
    image: "kindest/node:v1.32.2@sha256:f226345927d7e348497136874b6d207e0b32cc52154ad8323129352923a3142f",
  },
  {
    kind: "v0.27",
    kubernetes: "v1.31.6",
    image: "kindest/node:v1.31.6@sha256:28b7cbb993dfe093c76641a0c95807637213c9109b761f1d422c2400e22b8e87",
  },
  {
    kind: "v0.27",
    kubernetes: "v1.30.10",
    image: "kindest/node:v1.30.10@sha256:4de75d0e82481ea846c0ed1de86328d821c1e6a6a91ac37bf804e5313670e507",
  },
  {
    kind: "v0.27",
    kubernetes: "v1.29.14",
    image: "kindest/node:v1.29.14@sha256:8703bd94ee24e51b778d5556ae310c6c0fa67d761fae6379c8e0bb480e6fea29",
  },
  {
    kind: "v0.26",
    kubernetes: "v1.32.0",
    image: "kindest/node:v1.32.0@sha256:c48c62eac5da28cdadcf560d1d8616cfa6783b58f0d94cf63ad1bf49600cb027",
  },
  {
    kind: "v0.26",
    kubernetes: "v1.31.4",
    image: "kindest/node:v1.31.4@sha256:2cb39f7295fe7eafee0842b1052a599a4fb0f8bcf3f83d96c7f4864c357c6c30",
  },
  {
    kind: "v0.26",
    kubernetes: "v1.30.8",
    image: "kindest/node:v1.30.8@sha256:17cd608b3971338d9180b00776cb766c50d0a0b6b904ab4ff52fd3fc5c6369bf",
  },
  {
    kind: "v0.26",
    kubernetes: "v1.29.12",
    image: "kindest/node:v1.29.12@sha256:62c0672ba99a4afd7396512848d6fc382906b8f33349ae68fb1dbfe549f70dec",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.32.0",
    image: "kindest/node:v1.32.0@sha256:2458b423d635d7b01637cac2d6de7e1c1dca1148a2ba2e90975e214ca849e7cb",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.31.2",
    image: "kindest/node:v1.31.2@sha256:18fbefc20a7113353c7b75b5c869d7145a6abd6269154825872dc59c1329912e",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.30.6",
    image: "kindest/node:v1.30.6@sha256:b6d08db72079ba5ae1f4a88a09025c0a904af3b52387643c285442afb05ab994",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.29.10",
    image: "kindest/node:v1.29.10@sha256:3b2d8c31753e6c8069d4fc4517264cd20e86fd36220671fb7d0a5855103aa84b",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.28.15",
    image: "kindest/node:v1.28.15@sha256:a7c05c7ae043a0b8c818f5a06188bc2c4098f6cb59ca7d1856df00375d839251",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.27.16",
    image: "kindest/node:v1.27.16@sha256:2d21a61643eafc439905e18705b8186f3296384750a835ad7a005dceb9546d20",
  },
  {
    kind: "v0.25",
    kubernetes: "v1.26.15",
    image: "kindest/node:v1.26.15@sha256:c79602a44b4056d7e48dc20f7504350f1e87530fe953428b792def00bc1076dd",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.31.0",
    image: "kindest/node:v1.31.0@sha256:53df588e04085fd41ae12de0c3fe4c72f7013bba32a20e7325357a1ac94ba865",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.30.4",
    image: "kindest/node:v1.30.4@sha256:976ea815844d5fa93be213437e3ff5754cd599b040946b5cca43ca45c2047114",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.30.3",
    image: "kindest/node:v1.30.3@sha256:bf91e1ef2f7d92bb7734b2b896b3dddea98f0496b34d96e37dd5d7df331b7e56",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.29.8",
    image: "kindest/node:v1.29.8@sha256:d46b7aa29567e93b27f7531d258c372e829d7224b25e3fc6ffdefed12476d3aa",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.29.7",
    image: "kindest/node:v1.29.7@sha256:f70ab5d833fca132a100c1f95490be25d76188b053f49a3c0047ff8812360baf",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.28.13",
    image: "kindest/node:v1.28.13@sha256:45d319897776e11167e4698f6b14938eb4d52eb381d9e3d7a9086c16c69a8110",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.28.12",
    image: "kindest/node:v1.28.12@sha256:fa0e48b1e83bb8688a5724aa7eebffbd6337abd7909ad089a2700bf08c30c6ea",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.27.17",
    image: "kindest/node:v1.27.17@sha256:3fd82731af34efe19cd54ea5c25e882985bafa2c9baefe14f8deab1737d9fabe",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.26.15",
    image: "kindest/node:v1.26.15@sha256:1cc15d7b1edd2126ef051e359bf864f37bbcf1568e61be4d2ed1df7a3e87b354",
  },
  {
    kind: "v0.24",
    kubernetes: "v1.25.16",
    image: "kindest/node:v1.25.16@sha256:6110314339b3b44d10da7d27881849a87e092124afab5956f2e10ecdb463b025",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.30.0",
    image: "kindest/node:v1.30.0@sha256:047357ac0cfea04663786a612ba1eaba9702bef25227a794b52890dd8bcd692e",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.29.4",
    image: "kindest/node:v1.29.4@sha256:3abb816a5b1061fb15c6e9e60856ec40d56b7b52bcea5f5f1350bc6e2320b6f8",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.28.9",
    image: "kindest/node:v1.28.9@sha256:dca54bc6a6079dd34699d53d7d4ffa2e853e46a20cd12d619a09207e35300bd0",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.27.13",
    image: "kindest/node:v1.27.13@sha256:17439fa5b32290e3ead39ead1250dca1d822d94a10d26f1981756cd51b24b9d8",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.26.15",
    image: "kindest/node:v1.26.15@sha256:84333e26cae1d70361bb7339efb568df1871419f2019c80f9a12b7e2d485fe19",
  },
  {
    kind: "v0.23",
    kubernetes: "v1.25.16",
    image: "kindest/node:v1.25.16@sha256:5da57dfc290ac3599e775e63b8b6c49c0c85d3fec771cd7d55b45fae14b38d3b",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.29.2",
    image: "kindest/node:v1.29.2@sha256:51a1434a5397193442f0be2a297b488b6c919ce8a3931be0ce822606ea5ca245",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.29.1",
    image: "kindest/node:v1.29.1@sha256:0c06baa545c3bb3fbd4828eb49b8b805f6788e18ce67bff34706ffa91866558b",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.28.7",
    image: "kindest/node:v1.28.7@sha256:9bc6c451a289cf96ad0bbaf33d416901de6fd632415b076ab05f5fa7e4f65c58",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.28.6",
    image: "kindest/node:v1.28.6@sha256:e9e59d321795595d0eed0de48ef9fbda50388dc8bd4a9b23fb9bd869f370ec7e",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.27.11",
    image: "kindest/node:v1.27.11@sha256:681253009e68069b8e01aad36a1e0fa8cf18bb0ab3e5c4069b2e65cafdd70843",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.27.10",
    image: "kindest/node:v1.27.10@sha256:e6b2f72f22a4de7b957cd5541e519a8bef3bae7261dd30c6df34cd9bdd3f8476",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.26.14",
    image: "kindest/node:v1.26.14@sha256:5d548739ddef37b9318c70cb977f57bf3e5015e4552be4e27e57280a8cbb8e4f",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.26.13",
    image: "kindest/node:v1.26.13@sha256:8cb4239d64ff897e0c21ad19fe1d68c3422d4f3c1c1a734b7ab9ccc76c549605",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.25.16",
    image: "kindest/node:v1.25.16@sha256:e8b50f8e06b44bb65a93678a65a26248fae585b3d3c2a669e5ca6c90c69dc519",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.24.17",
    image: "kindest/node:v1.24.17@sha256:bad10f9b98d54586cba05a7eaa1b61c6b90bfc4ee174fdc43a7b75ca75c95e51",
  },
  {
    kind: "v0.22",
    kubernetes: "v1.23.17",
    image: "kindest/node:v1.23.17@sha256:14d0a9a892b943866d7e6be119a06871291c517d279aedb816a4b4bc0ec0a5b3",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.29.1",
    image: "kindest/node:v1.29.1@sha256:a0cc28af37cf39b019e2b448c54d1a3f789de32536cb5a5db61a49623e527144",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.28.6",
    image: "kindest/node:v1.28.6@sha256:b7e1cf6b2b729f604133c667a6be8aab6f4dde5bb042c1891ae248d9154f665b",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.27.10",
    image: "kindest/node:v1.27.10@sha256:3700c811144e24a6c6181065265f69b9bf0b437c45741017182d7c82b908918f",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.26.13",
    image: "kindest/node:v1.26.13@sha256:15ae92d507b7d4aec6e8920d358fc63d3b980493db191d7327541fbaaed1f789",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.25.16",
    image: "kindest/node:v1.25.16@sha256:9d0a62b55d4fe1e262953be8d406689b947668626a357b5f9d0cfbddbebbc727",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.24.17",
    image: "kindest/node:v1.24.17@sha256:ea292d57ec5dd0e2f3f5a2d77efa246ac883c051ff80e887109fabefbd3125c7",
  },
  {
    kind: "v0.21",
    kubernetes: "v1.23.17",
    image: "kindest/node:v1.23.17@sha256:fbb92ac580fce498473762419df27fa8664dbaa1c5a361b5957e123b4035bdcf",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.29.0",
    image: "kindest/node:v1.29.0@sha256:eaa1450915475849a73a9227b8f201df25e55e268e5d619312131292e324d570",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.28.0",
    image: "kindest/node:v1.28.0@sha256:b7a4cad12c197af3ba43202d3efe03246b3f0793f162afb40a33c923952d5b31",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.27.3",
    image: "kindest/node:v1.27.3@sha256:3966ac761ae0136263ffdb6cfd4db23ef8a83cba8a463690e98317add2c9ba72",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.26.6",
    image: "kindest/node:v1.26.6@sha256:6e2d8b28a5b601defe327b98bd1c2d1930b49e5d8c512e1895099e4504007adb",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.25.11",
    image: "kindest/node:v1.25.11@sha256:227fa11ce74ea76a0474eeefb84cb75d8dad1b08638371ecf0e86259b35be0c8",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.24.15",
    image: "kindest/node:v1.24.15@sha256:7db4f8bea3e14b82d12e044e25e34bd53754b7f2b0e9d56df21774e6f66a70ab",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.23.17",
    image: "kindest/node:v1.23.17@sha256:59c989ff8a517a93127d4a536e7014d28e235fb3529d9fba91b3951d461edfdb",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.22.17",
    image: "kindest/node:v1.22.17@sha256:f5b2e5698c6c9d6d0adc419c0deae21a425c07d81bbf3b6a6834042f25d4fba2",
  },
  {
    kind: "v0.20",
    kubernetes: "v1.21.14",
    image: "kindest/node:v1.21.14@sha256:8a4e9bb3f415d2bb81629ce33ef9c76ba514c14d707f9797a01e3216376ba093",
  },
];
