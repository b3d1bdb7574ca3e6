package sample

// name is how a name is written, and how it looks in an e-mail address.
type name struct{ written, handle string }

func firstNames() []name {
	return []name{
		{"Amy", "amy"}, {"Ben", "ben"}, {"Chloé", "chloe"}, {"Daniel", "daniel"}, {"Emily", "emily"}, {"Fatima", "fatima"},
		{"George", "george"}, {"Hannah", "hannah"}, {"Isaac", "isaac"}, {"Jasmine", "jasmine"}, {"Kemi", "kemi"}, {"Łukasz", "lukasz"},
		{"Megan", "megan"}, {"Niamh", "niamh"}, {"Oliver", "oliver"}, {"Priya", "priya"}, {"Quentin", "quentin"}, {"Rhys", "rhys"},
		{"Siân", "sian"}, {"Thomas", "thomas"}, {"Uzma", "uzma"}, {"Victoria", "victoria"}, {"William", "william"}, {"Xin", "xin"},
		{"Yusuf", "yusuf"}, {"Zoë", "zoe"}, {"Ayşe", "ayse"}, {"Björn", "bjorn"}, {"Agnieszka", "agnieszka"}, {"Mohammed", "mohammed"},
		{"Ольга", "olga"}, {"José", "jose"}, {"Thuý", "thuy"}, {"Mary-Ann", "mary-ann"}, {"李", "li"}, {"Noor", "noor"},
	}
}

func lastNames() []name {
	return []name{
		{"Shaw", "shaw"}, {"Ahmed", "ahmed"}, {"O'Brien", "obrien"}, {"Taylor", "taylor"}, {"Nguyễn", "nguyen"}, {"Kowalska", "kowalska"},
		{"Patel", "patel"}, {"Whitaker", "whitaker"}, {"Okafor", "okafor"}, {"Brontë", "bronte"}, {"Holroyd", "holroyd"}, {"Murphy", "murphy"},
		{"Khan", "khan"}, {"Sutcliffe", "sutcliffe"}, {"García", "garcia"}, {"Armitage", "armitage"}, {"van Dijk", "vandijk"}, {"Illingworth", "illingworth"},
		{"Øster", "oster"}, {"Barraclough", "barraclough"}, {"Yıldız", "yildiz"}, {"Lloyd-Jones", "lloyd-jones"}, {"Singh", "singh"}, {"Ackroyd", "ackroyd"},
		{"Петрова", "petrova"}, {"Dyson", "dyson"}, {"Greenwood", "greenwood"}, {"王", "wang"}, {"Hirst", "hirst"}, {"MacDonald", "macdonald"},
		{"Walker", "walker"}, {"Thackray", "thackray"}, {"Evans", "evans"},
	}
}

func cities() []string {
	return []string{"Leeds", "Leeds", "Leeds", "Bradford", "York", "York", "Wakefield", "Huddersfield", "Halifax", "Harrogate", "Sheffield", "Hull, East Riding"}
}

func interests() []string {
	return []string{"pottery", "Spanish for beginners", "bookkeeping", "first aid", "web design", "bread, cakes \"and more\"", "photography", "British Sign Language"}
}
